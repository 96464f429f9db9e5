import { runHttpLoad } from './http.ts';
import type { LoadJob, LoadReply } from './job.ts';
import { runStreamLoad } from './stream.ts';

/* The load's own process: takes jobs from its parent, one at a time, until the parent goes away. */

function run(job: LoadJob) {
  return job.kind === 'http' ? runHttpLoad(job) : runStreamLoad(job);
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
