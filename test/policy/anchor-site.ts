import { mkdirSync } from 'node:fs';
import type { EngineHandle } from '../../daemon/engine/protocol.ts';
import { ask, testBundle } from '../engine/bundle.ts';
import { EngineFixture } from '../engine/fixture.ts';

/** A site's engine as its process holds it, in this thread, with an outbox and an inbox. */
export class AnchorSite {
  readonly fixture: EngineFixture;
  readonly engine: EngineHandle;

  constructor(headquarters: string | null = null) {
    const bundle = testBundle();
    if (headquarters !== null) bundle.headquarters = { acknowledgement_keys: [headquarters] };
    this.fixture = new EngineFixture(bundle);
    for (const path of [this.fixture.paths.inbox, this.fixture.paths.outbox]) mkdirSync(path);
    this.engine = this.fixture.handle();
  }

  /** Something happens, and an anchor of it is exported. Returns its size. */
  anchor(): number {
    this.fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:t-1') });
    return Number(this.fixture.call('anchors.export', { json: {} }).body.size);
  }

  close(): void {
    this.fixture.close();
  }
}
