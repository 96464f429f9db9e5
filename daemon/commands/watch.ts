import { Command } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import { openSite, type Site, type SiteOptions } from './access.ts';
import { printJson } from './render/output.ts';
import { Screen } from './render/terminal.ts';
import { renderWatch } from './render/watch.ts';
import { type Watcher, WatchState } from './watch-state.ts';

const HELP = `
Is the site safe, is it deciding, what waits for approval, what was recorded last. It outlives restarts of the daemon and
the gateway, and shows them. q or Ctrl-C ends it, Ctrl-L draws it anew. Any terminal of 80 columns and 24 lines will do, a
serial console too; NO_COLOR=1 takes the colours away.

--json prints one document a line, for programs: {"kind":"status",…} when an answer changes, {"kind":"pending",…} when
other decisions wait, {"kind":"entry",…} for each entry.`;

/** `holdfast watch`. */
export function watchCommand(): Command {
  return new Command('watch')
    .description('A live view of the site: health, what waits for approval, what was recorded last.')
    .addHelpText('after', HELP)
    .action(async (options: SiteOptions) => {
      const site = openSite(options);
      const over = new AbortController();
      const stop = (): void => over.abort();
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
      process.stdout.once('error', stop);
      if (options.json) await new WatchState(site, reporter(), over).run();
      else await show(site, over);
    });
}

/** Prints what changed, and only that: times that count down are no change. */
function reporter(): Watcher {
  let said = '';
  let waited = '';
  return {
    status: ({ word, ready, safe, deciding, waits, next, troubles }) => {
      const answers = { word, ready, safe, deciding, waits, degraded: troubles };
      if (JSON.stringify(answers) === said) return;
      said = JSON.stringify(answers);
      printJson({ kind: 'status', ...answers, next });
    },
    pending: (decisions) => {
      const ids = decisions.map(({ decision_id }) => decision_id).join(' ');
      const received = decisions.map(({ authority }) => authority.received.length).join(' ');
      if (`${ids} ${received}` === waited) return;
      waited = `${ids} ${received}`;
      const shown = decisions.map(({ decision_id, action, context, enforcement, expires_at }) => {
        return { decision_id, action, context, allow_if: enforcement.allow_if, expires_at };
      });
      printJson({ kind: 'pending', decisions: shown });
    },
    entry: (hit) => printJson({ kind: 'entry', ...hit }),
    changed: () => {},
  };
}

/** At most so many drawings a second, however much happens. */
const DRAW_MS = 100;

async function show(site: Site, over: AbortController): Promise<void> {
  const { stdin, stdout } = process;
  if (!stdout.isTTY || process.env.TERM === 'dumb') throw noTerminal();
  const screen = new Screen(stdout, stdin.isTTY ? stdin : null);
  let due: NodeJS.Timeout | null = null;
  const draw = (): void => {
    due = null;
    screen.draw(renderWatch(state.view(), screen.size));
  };
  const changed = (): void => {
    due ??= setTimeout(draw, DRAW_MS);
  };
  const nothing = (): void => {};
  const state = new WatchState(site, { status: nothing, pending: nothing, entry: nothing, changed }, over);
  const again = (): void => {
    screen.invalidate();
    draw();
  };
  const clock = setInterval(changed, 1_000);
  screen.enter((key) => (key === 'end' ? over.abort() : again()));
  stdout.on('resize', again);
  try {
    draw();
    await state.run();
  } finally {
    clearInterval(clock);
    if (due !== null) clearTimeout(due);
    stdout.off('resize', again);
    screen.leave();
  }
}

function noTerminal(): BoundaryError {
  return new BoundaryError(
    'watch.no_terminal',
    'This is no terminal that a live view can be drawn on; nothing is shown. For programs: holdfast watch --json; for a plain list: holdfast ledger tail -f',
  );
}
