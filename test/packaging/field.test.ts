import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { debianPackage } from '../../packaging/debian.ts';
import { DebianRoot, noDebian } from './debian-root.ts';
import { executableX64, filesAround, packagedFile } from './product.ts';

/*
 * From the packages alone: a bare Debian becomes a governed site by a stick, acts, takes an update, lets an anchor out, is
 * upgraded and removed. Headquarters runs the same program, in a directory of its own.
 */

const VERSION = (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version;
const executable = executableX64();
const shipped = packagedFile(`holdfast_${VERSION}_amd64.deb`);
const why = noDebian() ?? (executable === null || shipped === null ? 'nothing is packaged' : null);
const SITE = '/var/lib/holdfast';
const NAME = 'outpost-7.example';

/** Headquarters' words: each signer has a passphrase, and so has the desk. */
const HEADQUARTERS = `
set -e
mkdir -p /root/headquarters /media/stick && cd /root/headquarters
for who in alice bob; do echo "$who at home" | holdfast repo new-key $who.key --name $who --passphrase-fd 0; done
desk() { echo 'the desk at headquarters' | holdfast "$@" --passphrase-fd 0; }
signed() { for who in alice bob; do echo "$who at home" | holdfast repo sign hq --key $who.key --passphrase-fd 0; done; desk repo finish hq; }
`;

const FOUND = `${HEADQUARTERS}
desk repo init hq --root alice.key.pub bob.key.pub
signed
holdfast policy new policy --site ${NAME}
holdfast repo publish hq policy --site ${NAME}
signed
echo 'alice at home' | holdfast site provision --site ${NAME} --repo hq --profile node --key alice.key -o /media/stick/site --passphrase-fd 0 | tee provisioned
echo 'bob at home' | holdfast repo sign-provision /media/stick/site --repo hq --key bob.key --passphrase-fd 0 --yes
sed -n 's/^ *fingerprint *//p' provisioned | head -1 > fingerprint`;

const UPDATE = `${HEADQUARTERS.replace(/^for who.*$/m, '')}
sed -i 's/^version:.*/version: 2/' policy/metadata.yaml
holdfast repo publish hq policy --site ${NAME}
signed
cp -r hq/repository /media/stick/update`;

/** Both roles as the units start them: each as its own user, with sockets from somebody else; then what is to be done. */
const withRoles = (commands: string): string => `
systemd-socket-activate --fdname=request:redeem:operator -l /run/holdfast/request.sock -l /run/holdfast/redeem.sock \\
  -l /run/holdfast/operator.sock -E PATH=$PATH \\
  setpriv --reuid=holdfast-daemon --regid=holdfast --init-groups holdfast daemon --dir ${SITE} >/tmp/daemon.log 2>&1 &
daemon=$!
systemd-socket-activate --fdname=gateway -l /run/holdfast/gateway.sock -E PATH=$PATH \\
  setpriv --reuid=holdfast-gateway --regid=holdfast --init-groups holdfast gateway --dir ${SITE} >/tmp/gateway.log 2>&1 &
gateway=$!
for n in $(seq 60); do test -S /run/holdfast/gateway.sock && test -S /run/holdfast/operator.sock && break; sleep 0.5; done
# What the socket units say about groups, in one word: nobody else is in here.
chmod 666 /run/holdfast/*.sock
holdfast status --dir ${SITE} >/dev/null
for n in $(seq 60); do holdfast status --dir ${SITE} --json | grep -q '"ready":true' && break; sleep 0.5; done
export HOLDFAST_DIR=${SITE}
code=0
{ ${commands}
} || code=$?
kill $gateway $daemon; wait $gateway $daemon
test $code = 0 || tail -5 /tmp/daemon.log /tmp/gateway.log
exit $code`;

describe.skipIf(why !== null)(
  `a site from its packages${why === null ? '' : ` (${why})`}`,
  { timeout: 300_000 },
  () => {
    let debian: DebianRoot | null = null;
    const run = (command: string): string => {
      if (debian === null) throw new Error('there is no Debian');
      return debian.do(command);
    };
    beforeAll(async () => {
      debian = DebianRoot.make();
      if (debian === null || executable === null || shipped === null) return;
      debian.put('/tmp/shipped.deb', readFileSync(shipped));
      const files = filesAround(executable);
      debian.put('/tmp/newer.deb', await debianPackage({ version: '99.0.0', arch: 'x64', files }));
    }, 600_000);
    afterAll(() => debian?.remove());
    beforeEach(({ skip }) => skip(debian === null, 'Debian could not be fetched'));

    it('is installed, and provisioned from a stick', () => {
      run('dpkg -i /tmp/shipped.deb');
      expect(run(FOUND)).toContain('SIGNED  2 of 2 (alice, bob): the folder can be used.');
      const made = run(
        `holdfast init --dir ${SITE} --from /media/stick/site --fingerprint "$(cat /root/headquarters/fingerprint)"`,
      );
      expect(made).toContain(`site         ${NAME} (profile node)`);
      run('systemd-tmpfiles --create holdfast.conf /usr/share/holdfast/holdfast-site.tmpfiles');
      const enrolled = run(
        `cd /root/headquarters && echo 'alice at home' | holdfast repo enrol ${SITE}/outbox/enrolment.proof --repo hq --key alice.key --passphrase-fd 0 --yes && echo 'bob at home' | holdfast repo sign-trust hq/sites/${NAME}.trust --repo hq --key bob.key --passphrase-fd 0 --yes`,
      );
      expect(enrolled).toContain(`ENROLLED  ${NAME}`);
    });

    it('decides and acts through its sockets', () => {
      run('mkdir -p /var/lib/telemetry && echo 08:00 3.1 bar > /var/lib/telemetry/pump-1.log');
      const said = run(
        withRoles(`
holdfast exec --actor agent:ops-1 --class read_telemetry --target sensor:pump-1 --env production --intent 'morning check' &&
holdfast request --actor agent:ops-1 --class wipe_device --target device:d-1 --env production --intent 'no' ; test $? = 3 &&
holdfast request --actor agent:ops-1 --class restart_service --target service:relay-2 --env production --intent 'stuck'; test $? = 4`),
      );
      expect(said).toContain('08:00 3.1 bar');
      expect(said).toContain('DENIED  wipe_device on device:d-1');
      expect(said).toContain('WAITING  restart_service on service:relay-2');
    });

    it('imports an update, and lets an anchor out', () => {
      run(UPDATE);
      const said = run(
        withRoles(
          'holdfast import /media/stick/update && mkdir -p /media/stick/anchors && holdfast anchor export -o /media/stick/anchors',
        ),
      );
      expect(said).toContain('APPLIED  serial 2');
      const verified = run(
        `holdfast anchor verify /media/stick/anchors --trust /root/headquarters/hq/sites/${NAME}.trust --ledger ${SITE}/state/ledger.sqlite`,
      );
      expect(verified).toContain('ONE HISTORY');
    });

    it('is upgraded with its ledger verified, and removed without it', () => {
      expect(run('dpkg -i /tmp/newer.deb').match(/^INTACT /gm)).toHaveLength(2);
      expect(run('dpkg -r holdfast')).toContain('was kept, with its ledger and keys');
      run(`test -s ${SITE}/state/ledger.sqlite`);
    });
  },
);
