import { existsSync, lstatSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { systemClock } from '../../host/clock.ts';
import { writeDurable } from '../../host/durable-file.ts';
import { findKek } from '../../host/kek.ts';
import { writeSecretFile } from '../../host/secret-file.ts';
import { authorityFile, readPem, registerDirectory } from '../../identity/files.ts';
import { ownSpiffeId, Register } from '../../identity/register.ts';
import { openSite, type Site, type SiteOptions } from '../access.ts';
import { print, printJson } from '../render/output.ts';
import { paint, plain, rows } from '../render/text.ts';

const HELP = `
Certificates are valid from 1970 to 9999: the roster of the policy in force says whether they count, not the clock. To end
one, suspend its principal or list its SHA-256 under revoked_certificates in the policy; here, issue another with --replace.

Examples:
  holdfast keys tls issue ops-1 --spiffe spiffe://outpost-7.example/agent/ops-1 -o /home/ops/holdfast
  HOLDFAST_TLS_CERT=ops-1.pem HOLDFAST_TLS_KEY=ops-1.key holdfast request …
  curl --unix-socket run/request.sock --cert ops-1.pem --key ops-1.key --cacert authority.pem https://localhost/v1/ready`;

interface IssueOptions extends SiteOptions {
  spiffe: string;
  output: string;
  replace?: boolean;
}

/** `holdfast keys tls …`: certificates of the site's own authority. By the account of the site. */
export function tlsCommand(): Command {
  const issue = new Command('issue')
    .description(
      'A new key and certificate for a principal: NAME.key, NAME.pem, and authority.pem beside them.',
    )
    .argument('<name>', 'what people call it; names the files')
    .requiredOption('--spiffe <uri>', 'SPIFFE ID, as the policy names it: spiffe://SITE/PATH')
    .requiredOption('-o, --output <dir>', 'existing directory for the files')
    .option('--replace', 'end every earlier certificate of this ID, at once')
    .addHelpText('after', HELP)
    .action((name: string, options: IssueOptions) => issueTo(name, options));
  const setup = new Command('setup')
    .description("Make the site's authority and the certificates of its parts, as far as they are missing.")
    .action((options: SiteOptions) => setUp(options));
  return new Command('tls')
    .description("Certificates of the site's own authority.")
    .addCommand(issue)
    .addCommand(setup);
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$/;

async function issueTo(name: string, options: IssueOptions): Promise<void> {
  const site = openSite(options);
  if (!NAME.test(name)) {
    throw new BoundaryError(
      'tls.bad_name',
      `${JSON.stringify(name.slice(0, 80))} cannot name files; write letters, digits, dots, hyphens. Nothing was issued.`,
    );
  }
  const spiffe_id = ownSpiffeId(options.spiffe, site.config.site);
  const files = freeFiles(resolve(options.output), name);
  const { issuePrincipal, loadAuthority } = await import('../../identity/issue.ts');
  const authority = await loadAuthority(site.paths, findKek(site.config.secrets));
  const before = earlierOf(site, spiffe_id);
  const issuing = { paths: site.paths, site: site.config.site, now: systemClock.now(), authority };
  const issued = await issuePrincipal(issuing, { name, spiffe_id });
  writeSecretFile(files.key, Buffer.from(issued.key, 'utf8'));
  writeDurable(files.certificate, Buffer.from(issued.pem, 'utf8'), 0o644);
  writeDurable(files.authority, Buffer.from(readPem(authorityFile(site.paths)), 'utf8'), 0o644);
  const ended = options.replace === true ? before : [];
  const register = new Register(registerDirectory(site.paths));
  for (const fingerprint of ended) register.replace(fingerprint);
  const { fingerprint } = issued;
  if (options.json) printJson({ spiffe_id, fingerprint, ...files, ended });
  else print(renderIssued(site, { spiffe_id, fingerprint, files, before, ended }));
}

interface Files {
  certificate: string;
  key: string;
  authority: string;
}

/** Where the three files go. A key is never written over another. */
function freeFiles(dir: string, name: string): Files {
  if (lstatSync(dir, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new BoundaryError(
      'tls.no_directory',
      `${dir} is no directory; nothing was issued. Make it first (mkdir -m 700).`,
      {
        at: dir,
      },
    );
  }
  const key = join(dir, `${name}.key`);
  if (existsSync(key)) {
    throw new BoundaryError(
      'secret.exists',
      `${key} is there already; nothing was issued. Keys are never overwritten: choose another name or directory.`,
      { at: key },
    );
  }
  return { certificate: join(dir, `${name}.pem`), key, authority: join(dir, 'authority.pem') };
}

/** Certificates of the same ID that still count. */
function earlierOf({ paths }: Site, spiffe_id: string): string[] {
  return new Register(registerDirectory(paths))
    .list()
    .filter((record) => record.spiffe_id === spiffe_id && record.state === 'active')
    .map(({ fingerprint }) => fingerprint);
}

function renderIssued(
  { config }: Site,
  issued: { spiffe_id: string; fingerprint: string; files: Files; before: string[]; ended: string[] },
): string {
  const { spiffe_id, fingerprint, files, before, ended } = issued;
  const earlier =
    ended.length > 0
      ? `${ended.length} ended`
      : before.length > 0
        ? `${before.length} still count (--replace ends them)`
        : 'none';
  const next = `It counts once the policy in force names it: under its principal, ${`spiffe_id: ${spiffe_id}`}`;
  const plainly = config.peers.tls
    ? ''
    : '\nThe sockets of this site are plain; set peers.tls in holdfast.json to use it.';
  return `${paint('bold', 'A certificate was issued.')}\n${rows([
    ['SPIFFE ID', plain(spiffe_id)],
    ['SHA-256', fingerprint],
    ['certificate', plain(files.certificate)],
    ['key', `${plain(files.key)} (secret: move it to its owner)`],
    ['authority', plain(files.authority)],
    ['earlier ones', earlier],
  ])}\n${next}${plainly}`;
}

async function setUp(options: SiteOptions): Promise<void> {
  const { paths, config } = openSite(options);
  const { setUpTls } = await import('../../identity/issue.ts');
  const made = await setUpTls(paths, config.site, systemClock.now(), findKek(config.secrets));
  if (options.json) printJson(made);
  else if (!made.authority && made.roles.length === 0)
    print('The authority and all certificates are there already.');
  else {
    const authority = made.authority ? `An authority was made: ${authorityFile(paths)}\n` : '';
    print(`${authority}Certificates were made for ${made.roles.join(', ')}.`);
  }
}
