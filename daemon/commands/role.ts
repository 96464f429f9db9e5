import { Command } from 'commander';
import { findSiteDir } from '../host/config.ts';
import type { SiteOptions } from './access.ts';

const DAEMON_HELP = `
Listens on run/request.sock, run/redeem.sock and run/operator.sock of the site directory; logs JSON lines to stderr.
Ends on SIGTERM or SIGINT after finishing what it acknowledged. Without a policy it runs and denies.`;

const GATEWAY_HELP = `
Listens on run/gateway.sock of the site directory; needs the daemon's sockets and the public files in trust/, never its keys.
Ends on SIGTERM or SIGINT after the tools that it started.`;

/** `holdfast daemon`: the engine, the ledger and their sockets; runs until it is told to stop. */
export function daemonCommand(): Command {
  return new Command('daemon')
    .description('Decide and record: the engine, its ledger and policy store.')
    .addHelpText('after', DAEMON_HELP)
    .action(async (options: SiteOptions) => {
      const { runDaemon } = await import('../roles/daemon.ts');
      await runDaemon({ dir: findSiteDir(options.dir, process.env) });
    });
}

/** `holdfast gateway`: the enforcement point that holds the tools; runs until it is told to stop. */
export function gatewayCommand(): Command {
  return new Command('gateway')
    .description('Enforce: verify permits, run tools, report outcomes.')
    .addHelpText('after', GATEWAY_HELP)
    .action(async (options: SiteOptions) => {
      const { runGateway } = await import('../roles/gateway.ts');
      await runGateway({ dir: findSiteDir(options.dir, process.env) });
    });
}
