import { Command } from 'commander';
import { findSiteDir, loadConfig } from '../host/config.ts';
import { assertKnownVariables } from '../host/environment.ts';
import { createLogger } from '../host/log.ts';
import { assertOwnProgram } from '../host/verified-start.ts';
import type { SiteOptions } from './access.ts';
import { EXIT, endWith } from './exit.ts';
import { print, printJson } from './render/output.ts';
import { renderRound } from './render/round.ts';

const DAEMON_HELP = `
Listens on run/request.sock, run/redeem.sock and run/operator.sock of the site directory; logs JSON lines to stderr.
Ends on SIGTERM or SIGINT after finishing what it acknowledged. Without a policy it runs and denies.`;

const GATEWAY_HELP = `
Listens on run/gateway.sock of the site directory; needs the daemon's sockets and the public files in trust/, never its keys.
Ends on SIGTERM or SIGINT after the tools that it started.`;

const SYNC_HELP = `
Needs the section "sync" of holdfast.json (docs/operate/sync.md). Mirrors the signed policy repository into inbox/mirror and
has the daemon verify and import it; carries what lies in outbox upstream. Logs JSON lines to stderr; ends on SIGTERM or SIGINT.

Exit codes of --once: 0 done · 3 the daemon refused what came · 4 it was accepted and waits · 5 something could not be fetched or carried`;

/** Nothing is served by a program that is not the one that was released. */
async function verifyStart(role: 'daemon' | 'gateway' | 'sync', dir: string): Promise<void> {
  assertKnownVariables(process.env);
  const { profile, log } = loadConfig(dir);
  const check = await assertOwnProgram(profile);
  if (check.state === 'signed' || profile === 'dev') return;
  createLogger(role, log.level).warn(
    { reason: check.reason },
    'this program is unsigned: nothing says that it is a release',
  );
}

/** `holdfast daemon`: the engine, the ledger and their sockets; runs until it is told to stop. */
export function daemonCommand(): Command {
  return new Command('daemon')
    .description('Decide and record: the engine, its ledger and policy store.')
    .addHelpText('after', DAEMON_HELP)
    .action(async (options: SiteOptions) => {
      const dir = findSiteDir(options.dir, process.env);
      const [{ runDaemon }] = await Promise.all([import('../roles/daemon.ts'), verifyStart('daemon', dir)]);
      await runDaemon({ dir });
    });
}

/** `holdfast gateway`: the enforcement point that holds the tools; runs until it is told to stop. */
export function gatewayCommand(): Command {
  return new Command('gateway')
    .description('Enforce: verify permits, run tools, report outcomes.')
    .addHelpText('after', GATEWAY_HELP)
    .action(async (options: SiteOptions) => {
      const dir = findSiteDir(options.dir, process.env);
      const [{ runGateway }] = await Promise.all([
        import('../roles/gateway.ts'),
        verifyStart('gateway', dir),
      ]);
      await runGateway({ dir });
    });
}

/** `holdfast sync`: what crosses the gap by network; runs until it is told to stop, or for one round. */
export function syncCommand(): Command {
  return new Command('sync')
    .description('Move bytes across the gap: policy in, receipts and anchors out.')
    .option('--once', 'one round now, without waiting for the schedule')
    .addHelpText('after', SYNC_HELP)
    .action(async (options: SiteOptions & { once?: boolean }) => {
      const dir = findSiteDir(options.dir, process.env);
      const [{ runSync }] = await Promise.all([import('../roles/sync.ts'), verifyStart('sync', dir)]);
      const report = await runSync({ dir, once: options.once === true });
      if (report === null) return;
      if (options.json) printJson(report);
      else print(renderRound(report));
      if (report.failures.length > 0) endWith(EXIT.unavailable);
      else if (report.imported?.applied === false)
        endWith(report.imported.held === true ? EXIT.pending : EXIT.refused);
    });
}
