import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { securityEvent } from '../../daemon/core/siem-event.ts';
import { toCef } from '../../daemon/formats/cef.ts';
import { toOcsf } from '../../daemon/formats/ocsf.ts';
import type { SecurityEvent } from '../../daemon/formats/security-event.ts';
import { toSyslog } from '../../daemon/formats/syslog.ts';
import { EVERY_TYPE, entryOf, ORIGIN } from '../siem/entries.ts';

const DENIED = securityEvent(ORIGIN, 7, entryOf('decision.denied', 7));

/** Texts that somebody who asks for something can put into an event. */
const hostile = fc.string({ unit: 'binary', maxLength: 60 });
const events = fc
  .record({
    message: hostile,
    reason: fc.option(hostile),
    id: fc.option(hostile),
    class: hostile,
    target: hostile,
  })
  .map(
    (given): SecurityEvent => ({
      ...DENIED,
      message: given.message,
      reason: given.reason,
      actor: { id: given.id, role: given.id },
      action: { class: given.class, environment: given.target },
      subject: { type: given.class, id: given.target },
    }),
  );

const LINE_END = /[\r\n\u2028\u2029\u0085]/;

describe('CEF', () => {
  it('has seven header fields and an extension', () => {
    const line = toCef(DENIED, '0.1.0');
    expect(line).toMatch(
      /^CEF:0\|Holdfast\|Holdfast\|0\.1\.0\|decision\.denied\|[^|]+\|3\|rt=1790000000007 /,
    );
    expect(line).toContain(' externalId=outpost-7.example/ledger#7 ');
    expect(line).toContain('suser=agent:ops-1');
  });

  it('is one line from which the fields come back, whatever is in them', () => {
    fc.assert(
      fc.property(events, (event) => {
        const line = toCef(event, '0.1.0');
        expect(line).not.toMatch(LINE_END);
        expect(headerFields(line)).toHaveLength(8);
        const { suser, reason } = extensionOf(line);
        expect(suser).toBe(event.actor.id === null ? undefined : plainly(event.actor.id));
        expect(reason).toBe(event.reason === null ? undefined : plainly(event.reason));
      }),
    );
  });
});

/** Splits at pipes that are not escaped; the extension is the eighth field. */
function headerFields(line: string): string[] {
  const fields = [''];
  for (let i = 0; i < line.length; i++) {
    const last = fields.length - 1;
    if (line[i] === '\\' && fields.length < 8) fields[last] += line[++i] ?? '';
    else if (line[i] === '|' && fields.length < 8) fields.push('');
    else fields[last] += line[i] ?? '';
  }
  return fields;
}

/** A reader of the extension: a key runs to an `=` that no backslash escapes. */
function extensionOf(line: string): Record<string, string> {
  const text = headerFields(line)[7] ?? '';
  const members: Record<string, string> = {};
  for (const [, key = '', value = ''] of text.matchAll(
    /(?:^| )([A-Za-z0-9]+)=((?:\\.|[^\\=])*?)(?= [A-Za-z0-9]+=|$)/gs,
  ))
    members[key] = value.replace(/\\(.)/gs, (_, c: string) => (c === 'n' ? '\n' : c === 'r' ? '\r' : c));
  return members;
}

/** What becomes of a text on its way: every kind of line end is one, control characters are spaces. */
function plainly(text: string): string {
  return text
    .replace(/\r\n|[\u2028\u2029]/g, '\n')
    .replace(/[\u0000-\u0009\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, ' ');
}

describe('syslog', () => {
  it('is RFC 5424 with structured data', () => {
    const line = toSyslog(DENIED);
    expect(line).toMatch(
      /^<109>1 2026-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z outpost-7\.example holdfast - decision\.denied \[holdfast@\d+ id="outpost-7\.example\/ledger#7" /,
    );
    expect(line).toContain('] \ufeffdecision denied');
  });

  it('is one line whose structured data ends where it should, whatever is in it', () => {
    fc.assert(
      fc.property(events, (event) => {
        const line = toSyslog(event);
        expect(line).not.toMatch(LINE_END);
        const [, data = '', message] =
          /^<\d+>1 \S+ \S+ \S+ - \S+ \[holdfast@32473((?: [a-zA-Z0-9]+="(?:\\["\\\]]|[^"\\\]])*")*)\] \ufeff(.*)$/su.exec(
            line,
          ) ?? [];
        expect(message).toBeDefined();
        const reason = / reason="((?:\\.|[^"\\])*)"/su.exec(data)?.[1]?.replace(/\\(.)/gsu, '$1');
        if (event.reason !== null)
          expect(reason).toBe(event.reason.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' '));
      }),
    );
  });
});

describe('OCSF', () => {
  it('has what every class of 1.8.0 requires', () => {
    for (const type of EVERY_TYPE) {
      const event = toOcsf(securityEvent(ORIGIN, 3, entryOf(type, 3)), '0.1.0');
      expect(event, type).toMatchObject({
        metadata: { version: '1.8.0', uid: `${ORIGIN}#3`, product: { vendor_name: 'Holdfast' } },
        time: 1_790_000_000_003,
        severity_id: expect.any(Number),
      });
      const { class_uid, category_uid, type_uid, activity_id } = event as Record<string, number>;
      expect(type_uid).toBe(Number(class_uid) * 100 + Number(activity_id));
      expect(category_uid).toBe(Math.floor(Number(class_uid) / 1000));
    }
  });

  it('maps verdicts to actions and dispositions', () => {
    const of = (type: Parameters<typeof entryOf>[0]) =>
      toOcsf(securityEvent(ORIGIN, 3, entryOf(type, 3)), '0');
    expect(of('decision.authorized')).toMatchObject({ class_uid: 6003, action_id: 1, disposition_id: 1 });
    expect(of('decision.denied')).toMatchObject({ class_uid: 6003, action_id: 2, disposition_id: 2 });
    expect(of('decision.pending_authority')).toMatchObject({ action_id: 99, disposition_id: 14 });
    expect(of('policy.applied')).toMatchObject({ class_uid: 3004, activity_id: 10, entity: { type_id: 5 } });
    expect(of('incident.opened')).toMatchObject({
      class_uid: 2004,
      activity_id: 1,
      is_alert: true,
      severity_id: 5,
    });
  });
});
