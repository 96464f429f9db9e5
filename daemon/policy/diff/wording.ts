import type { Bundle } from '../../core/bundle.ts';
import { quoted } from './words.ts';

/** Sentences that people read and the engine does not: shown because people act on them. */
export function wordingChanges(before: Bundle, after: Bundle): string[] {
  const was = wordings(before);
  return [...wordings(after)].flatMap(([what, text]) => {
    const old = was.get(what);
    return old === undefined || old === text ? [] : [`The words of ${what} are now ${quoted(text)}.`];
  });
}

function wordings(bundle: Bundle): Map<string, string> {
  const texts = new Map<string, string>();
  const note = (what: string, text: string | undefined) => texts.set(what, text ?? '');
  note('the policy', bundle.metadata.description);
  for (const [name, { description }] of Object.entries(bundle.environments))
    note(`the environment ${name}`, description);
  for (const [name, { description, payload }] of Object.entries(bundle.actions)) {
    note(name, description);
    for (const [field, rule] of Object.entries(payload ?? {}))
      note(`the field ${field} of ${name}`, rule.description);
  }
  for (const [name, { description }] of Object.entries(bundle.tools)) note(`the tool ${name}`, description);
  for (const { id, reason } of bundle.gates) note(`the gate ${id}`, reason);
  for (const { id, reason } of bundle.risk.factors) note(`the risk factor ${id}`, reason);
  for (const [id, { display_name }] of Object.entries(bundle.principals))
    note(`the principal ${id}`, display_name);
  return texts;
}
