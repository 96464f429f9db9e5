import { runHttpLoad } from './http.ts';
import type { LoadJob, LoadReply, LoadResult, PacedResult } from './job.ts';
import { runPacedLoad } from './paced.ts';
import { runStreamLoad } from './stream.ts';

/* The load's own process: takes jobs from its parent, one at a time, until the parent goes away. */

function run(job: LoadJob): Promise<LoadResult | PacedResult> {
  switch (job.kind) {
    case 'http':
      return runHttpLoad(job);
    case 'stream':
      return runStreamLoad(job);
    case 'paced':
      return runPacedLoad(job);
  }
}

function answer(reply: LoadReply): void {
  process.send?.(reply);
}

process.on('message', (job: LoadJob) => {
  run(job).then(
    (result) => answer({ result }),
    (error: unknown) => answer({ error: error instanceof Error ? error.message : String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
