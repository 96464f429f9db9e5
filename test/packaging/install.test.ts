import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Member } from '../../packaging/archive.ts';
import { debianPackage } from '../../packaging/debian.ts';
import { tarball } from '../../packaging/tarball.ts';
import { DebianRoot, noDebian } from './debian-root.ts';
import { executableX64, filesAround, packagedFile } from './product.ts';

/* The life of an installation on a bare Debian, from the packages as they are shipped. The tests follow each other. */

const VERSION = (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version;
const executable = executableX64();
const shipped = packagedFile(`holdfast_${VERSION}_amd64.deb`);
const why = noDebian() ?? (executable === null || shipped === null ? 'nothing is packaged' : null);
const SITE = '/var/lib/holdfast';
const LEDGER = `${SITE}/state/ledger.sqlite`;
const VERIFY = `setpriv --reuid=holdfast-daemon --regid=holdfast --init-groups holdfast ledger verify --json --dir ${SITE}`;

describe.skipIf(why !== null)(
  `an installation${why === null ? '' : ` (${why})`}`,
  { timeout: 300_000 },
  () => {
    let debian: DebianRoot | null = null;
    const root = (): DebianRoot => {
      if (debian === null) throw new Error('there is no Debian');
      return debian;
    };

    beforeAll(async () => {
      debian = DebianRoot.make();
      if (debian === null || executable === null || shipped === null) return;
      const files = filesAround(executable);
      debian.put('/tmp/shipped.deb', readFileSync(shipped));
      debian.put('/tmp/newer.deb', await debianPackage({ version: '99.0.0', arch: 'x64', files }));
      const older = { version: '0.0.1', arch: 'x64' as const, files: smaller(files) };
      debian.put('/tmp/older.deb', await debianPackage({ ...older, formats: { ledger: 0, head: 0 } }));
      debian.put('/tmp/host.tar.gz', await tarball({ version: '99.0.1', arch: 'x64', files }));
    }, 600_000);
    afterAll(() => debian?.remove());
    // Debian's packages come over a network, which a machine may not have.
    beforeEach(({ skip }) => skip(debian === null, 'Debian could not be fetched'));

    it('makes users, directories, manual pages and completions, and says what comes next', () => {
      const said = root().do('dpkg -i /tmp/shipped.deb');
      expect(said).toContain('there is no site on this host yet');
      expect(said).toContain('holdfast init --dir /var/lib/holdfast');
      expect(root().do('dpkg -V holdfast && holdfast --version').trim()).toBe(VERSION);
      const users = root().do('getent passwd holdfast-daemon holdfast-gateway holdfast-sync');
      expect(users.trim().split('\n')).toHaveLength(3);
      expect(users).not.toMatch(/\/(ba|da)?sh$/m);
      expect(root().do(`stat -c '%a %U:%G' ${SITE}`).trim()).toBe('755 root:root');
      for (const path of [
        'man/man1/holdfast.1.gz',
        'bash-completion/completions/holdfast',
        'doc/holdfast/copyright',
      ])
        root().do(`test -s /usr/share/${path}`);
      // Reinstalled, it is the same.
      root().do('dpkg -i /tmp/shipped.deb');
    });

    it('is used: a site, a daemon as its own user, a decision', () => {
      root().do(`holdfast init --dir ${SITE} --site x.example --profile dev`);
      root().do('systemd-tmpfiles --create holdfast.conf /usr/share/holdfast/holdfast-site.tmpfiles');
      const said = root().do(USE);
      expect(said).toContain('"status":"authorized"');
      expect(said).toContain('"write_state":"confirmed"');
      expect(root().do(`stat -c %U ${LEDGER}`).trim()).toBe('holdfast-daemon');
      expect(entries()).toBeGreaterThan(4);
    });

    it('is upgraded: the ledger verified before and after, and not one byte of the site changed', () => {
      const before = [entries(), digests()];
      const said = root().do('dpkg -i /tmp/newer.deb');
      expect(said.match(/^INTACT /gm)).toHaveLength(2);
      expect(said.indexOf('verified before the upgrade')).toBeLessThan(said.indexOf('Unpacking holdfast'));
      expect(said.indexOf('verified by version 99.0.0')).toBeGreaterThan(said.indexOf('Setting up holdfast'));
      expect([entries(), digests()]).toEqual(before);
      expect(root().do('ls -A /var/tmp').trim()).toBe('');
    });

    it('is not upgraded over a ledger that does not verify, until somebody says so', () => {
      const path = join(root().dir, LEDGER);
      const sound = readFileSync(path);
      tamper(path);
      const refused = root().run('dpkg -i /tmp/newer.deb');
      expect(refused.code).not.toBe(0);
      expect(refused.text).toContain('TAMPERED');
      expect(refused.text).toContain('Version 99.0.0 was not installed');
      expect(status()).toBe('install ok installed 99.0.0');
      expect(
        root()
          .do('dpkg -i /tmp/newer.deb', { HOLDFAST_UPGRADE: 'unverified' })
          .match(/not verified/g),
      ).toHaveLength(2);
      root().put(LEDGER, sound);
      expect(entries()).toBeGreaterThan(4);
    });

    it('is not replaced by a version that knows only older ledgers', () => {
      const before = digests();
      const refused = root().run('dpkg -i /tmp/older.deb', { HOLDFAST_UPGRADE: 'unverified' });
      expect(refused.code).not.toBe(0);
      expect(refused.text).toContain(`${LEDGER} has format 1; version 0.0.1 knows up to 0`);
      expect(status()).toBe('install ok installed 99.0.0');
      expect(root().do('holdfast --version').trim()).toBe(VERSION);
      expect(digests()).toEqual(before);
    });

    it('is replaced by an older version that knows the ledger', () => {
      expect(root().do('dpkg -i /tmp/shipped.deb')).toContain('downgrading holdfast');
      expect(status()).toBe(`install ok installed ${VERSION}`);
    });

    it('under systemd: the roles start anew, imports are let be; before a removal everything stops', () => {
      const { run } = systemd(root());
      run('dpkg -i /tmp/newer.deb');
      expect(run('cat /tmp/systemctl.log').trim().split('\n')).toEqual([
        'daemon-reload',
        'list-units --plain --no-legend --state=active holdfast-*.service',
        'try-restart holdfast-daemon.service',
        'try-restart holdfast-gateway.service',
        '--quiet is-active holdfast.target',
        'start holdfast.target',
      ]);
      expect(entries()).toBeGreaterThan(4);
      run('rm /tmp/systemctl.log; dpkg -r holdfast');
      expect(run('cat /tmp/systemctl.log').trim().split('\n')).toEqual([
        'stop holdfast.target holdfast-*.socket holdfast-*.service',
        'daemon-reload',
      ]);
      run('rm -r /run/systemd/system; dpkg -i /tmp/shipped.deb');
    });

    it('is removed, and leaves the site', () => {
      const before = digests();
      expect(root().do('dpkg -r holdfast')).toContain(
        'The site in /var/lib/holdfast was kept, with its ledger and keys.',
      );
      expect(root().run('test -e /usr/bin/holdfast -o -e /usr/lib/systemd/system/holdfast.target').code).toBe(
        1,
      );
      expect(digests()).toEqual(before);
      // Nor may an older one take its place meanwhile.
      expect(root().run('dpkg -i /tmp/older.deb').text).toContain('has format 1');
      expect(root().do('dpkg -i /tmp/shipped.deb')).toContain('INTACT');
    });

    it('is not purged with a ledger, unless it is typed or set that it shall be', () => {
      const kept = root().run('dpkg -P holdfast');
      expect(kept.code).not.toBe(0);
      expect(kept.text).toContain('was kept');
      expect(kept.text).toContain('HOLDFAST_PURGE=yes');
      const typed = (answer: string) =>
        root().run('script -qec "dpkg -P holdfast" /dev/null', {}, `${answer}\n`);
      expect(typed('y').code).not.toBe(0);
      expect(root().run(`test -f ${LEDGER}`).code).toBe(0);
      const destroyed = typed('x.example');
      expect(destroyed.text).toContain('Type the name of the site to destroy it');
      expect(destroyed.code).toBe(0);
      expect(root().run(`ls -d ${SITE} /var/spool/holdfast /usr/share/holdfast`).text).not.toMatch(/^\//m);
      expect(root().run('dpkg -s holdfast').code).not.toBe(0);
    });

    it('is purged without a question where there is no site, and with HOLDFAST_PURGE=yes where there is one', () => {
      root().do('dpkg -i /tmp/shipped.deb && dpkg -P holdfast');
      root().do(`dpkg -i /tmp/shipped.deb && holdfast init --dir ${SITE} --site x.example --profile dev`);
      root().do('dpkg -P holdfast', { HOLDFAST_PURGE: 'yes' });
      expect(root().run(`test -e ${SITE}`).code).toBe(1);
    });

    it('comes as an archive, too: checked, installed, upgraded, removed, destroyed', () => {
      root().do('cd /tmp && tar -xzf host.tar.gz');
      const script = '/tmp/holdfast-99.0.1-linux-x64/install.sh';
      expect(root().do(script)).toContain('there is no site on this host yet');
      root().do(`holdfast init --dir ${SITE} --site x.example --profile dev`);
      expect(
        root()
          .do(script)
          .match(/^INTACT /gm),
      ).toHaveLength(2);
      root().do(`echo changed >> /tmp/holdfast-99.0.1-linux-x64/files/usr/share/doc/holdfast/README.md`);
      expect(root().run(script).text).toContain('not those that were packaged');
      expect(root().do(`${script} --uninstall`)).toContain('was kept');
      expect(root().run('test -e /usr/bin/holdfast').code).toBe(1);
      expect(root().run(`${script} --purge`).text).toContain('was kept');
      root().do(`${script} --purge`, { HOLDFAST_PURGE: 'yes' });
      expect(root().run(`find / -xdev -path /tmp -prune -o -name '*holdfast*' -print`).text).not.toMatch(
        /^\/(usr|var\/lib|etc\/(?!passwd|group))/m,
      );
    });

    function entries(): number {
      return (JSON.parse(root().do(VERIFY)) as { entries: number }).entries;
    }

    function digests(): string {
      return root().do(
        `cd ${SITE} && find . -type f ! -name '*-shm' ! -name '*-wal' -exec sha256sum {} + | sort -k 2`,
      );
    }

    function status(): string {
      return root().do(`dpkg-query -W -f '\${Status} \${Version}' holdfast`).trim();
    }
  },
);

/** A daemon in the background, behind sockets that systemd's own tool opens for it; asked for a decision. */
const USE = `
systemd-socket-activate --fdname=request:redeem:operator -l /run/holdfast/request.sock -l /run/holdfast/redeem.sock \
  -l /run/holdfast/operator.sock -E PATH=$PATH \
  setpriv --reuid=holdfast-daemon --regid=holdfast --init-groups holdfast daemon --dir ${SITE} >/tmp/daemon.log 2>&1 &
for second in $(seq 60); do test -S /run/holdfast/operator.sock && break; sleep 0.5; done
holdfast request --dir ${SITE} --actor agent:ops-1 --class read_telemetry --target sensor:pump-1 --env production --intent 'morning check' --json
code=$?
kill $! && wait $! || cat /tmp/daemon.log
exit $code`;

/** A service manager that writes down what it is told; commands that are run with it. */
function systemd(root: DebianRoot): { run: (command: string) => string } {
  const active = 'holdfast-daemon.service holdfast-gateway.service holdfast-import@sdb1.service'
    .split(' ')
    .map((unit) => `echo '${unit} loaded active running Holdfast'`)
    .join('; ');
  root.put(
    '/usr/local/bin/systemctl',
    `#!/bin/sh\necho "$*" >> /tmp/systemctl.log\ncase $1 in list-units) ${active} ;; esac\n`,
  );
  root.do('chmod 755 /usr/local/bin/systemctl; mkdir -p /run/systemd/system');
  const PATH = '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return { run: (command) => root.do(command, { PATH }) };
}

/** Changes one byte of an entry, as somebody with the file could. */
function tamper(path: string): void {
  const database = new Database(path);
  const row = database.prepare('SELECT bytes FROM entries WHERE idx = 1').get() as { bytes: Buffer };
  database.exec('DROP TRIGGER IF EXISTS entries_no_update');
  for (const { name } of database
    .prepare("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'entries'")
    .all() as { name: string }[])
    database.exec(`DROP TRIGGER "${name}"`);
  row.bytes[row.bytes.length - 5] = (row.bytes[row.bytes.length - 5] ?? 0) ^ 1;
  database.prepare('UPDATE entries SET bytes = ? WHERE idx = 1').run(row.bytes);
  database.close();
}

/** Nothing of an older version is ever started here. */
function smaller(files: readonly Member[]): Member[] {
  const program = Buffer.from('#!/bin/sh\nexit 1\n');
  return files.map((file) => (file.path === 'usr/bin/holdfast' ? { ...file, content: program } : file));
}
