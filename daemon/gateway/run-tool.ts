import type { ResolvedCall } from '../formats/permit.ts';
import { runExec } from './connectors/exec.ts';
import { runHttp } from './connectors/http.ts';
import type { ToolRun } from './connectors/run.ts';

/** Runs a resolved call, once, through its connector. `path` is the tools' PATH; `signal` ends the run early. */
export function runTool(call: ResolvedCall, path: string, signal: AbortSignal): Promise<ToolRun> {
  switch (call.connector) {
    case 'exec':
      return runExec(call, { path, signal });
    case 'http':
      return runHttp(call, { signal });
  }
}
