import type { Bundle, BundleActionClass, BundlePayloadField, BundleTool } from '../../core/bundle.ts';
import { DEFAULT_PENDING_TTL, DEFAULT_PERMIT_TTL } from '../../core/rules.ts';
import { added, json, listed, nowWas, quoted, removed, same } from './words.ts';

/** What may be asked for, with which fields, and what is run for it. */
export function actionChanges(before: Bundle, after: Bundle): string[] {
  const was = Object.keys(before.actions);
  const is = Object.keys(after.actions);
  return [
    ...removed(was, is).map((name) => `${name} is no longer listed: every request for it is denied.`),
    ...added(was, is).map((name) => newClass(name, after)),
    ...is.filter((name) => was.includes(name)).flatMap((name) => classChanges(name, before, after)),
    ...toolChanges(before, after),
  ];
}

function newClass(name: string, { actions, tools }: Bundle): string {
  const action = actions[name];
  const where = action?.environments === undefined ? '' : ` in ${listed(action.environments)}`;
  const tool = tools[action?.tool ?? ''];
  const runs = tool === undefined ? '' : `; it ${doing(tool)}`;
  const only = action?.shadow === true ? ', in shadow: recorded, denied' : '';
  return `${name} may now be asked for${where}${only} (target: ${action?.target.type}, base risk ${action?.base_risk})${runs}.`;
}

function classChanges(name: string, before: Bundle, after: Bundle): string[] {
  const was = before.actions[name];
  const is = after.actions[name];
  if (was === undefined || is === undefined || same(was, is)) return [];
  return [
    ...placeChanges(name, [was, Object.keys(before.environments)], [is, Object.keys(after.environments)]),
    ...targetChanges(name, was, is),
    ...payloadChanges(name, was, is),
    ...riskChange(name, was, is),
    ...ttlChanges(name, was, is),
    ...shadowChange(name, was, is),
    ...(was.tool === is.tool ? [] : [`${name} is now carried out by the tool ${is.tool} (was ${was.tool}).`]),
  ];
}

/** A class without a list is done in every environment of its bundle. */
function placeChanges(
  name: string,
  [was, allBefore]: [BundleActionClass, string[]],
  [is, allAfter]: [BundleActionClass, string[]],
): string[] {
  if (was.environments === undefined && is.environments === undefined) return [];
  const lists = [was.environments ?? allBefore, is.environments ?? allAfter] as const;
  const more = added(...lists);
  const fewer = removed(...lists);
  return [
    ...(more.length === 0 ? [] : [`${name} may now be asked for in ${listed(more)} too.`]),
    ...(fewer.length === 0 ? [] : [`${name} is no longer done in ${listed(fewer)}.`]),
  ];
}

function targetChanges(
  name: string,
  { target: was }: BundleActionClass,
  { target: is }: BundleActionClass,
): string[] {
  return [
    ...(was.type === is.type ? [] : [`${name} now acts on a ${is.type} (was ${was.type}).`]),
    ...(was.id_pattern === is.id_pattern
      ? []
      : [`Targets of ${name} must now match ${quoted(is.id_pattern)} (was ${quoted(was.id_pattern)}).`]),
  ];
}

function payloadChanges(name: string, was: BundleActionClass, is: BundleActionClass): string[] {
  const fields = [was.payload ?? {}, is.payload ?? {}] as const;
  const names = [Object.keys(fields[0]), Object.keys(fields[1])] as const;
  return [
    ...added(...names).map((field) => {
      const rule = fields[1][field];
      const marks = [rule?.required === true ? 'required' : '', rule?.sensitive === true ? 'sensitive' : ''];
      const note = marks.filter((mark) => mark !== '').join(', ');
      return `${name} now takes the field ${field}${note === '' ? '' : ` (${note})`}.`;
    }),
    ...removed(...names).map(
      (field) => `${name} no longer takes the field ${field}: requests with it are denied.`,
    ),
    ...names[1].flatMap((field) => {
      const [old, rule] = [fields[0][field], fields[1][field]];
      return old === undefined || rule === undefined ? [] : fieldChanges(`${field} of ${name}`, old, rule);
    }),
  ];
}

const FIELD_RULES = ['type', 'pattern', 'max_length', 'enum', 'minimum', 'maximum', 'max_items'] as const;

function fieldChanges(field: string, was: BundlePayloadField, is: BundlePayloadField): string[] {
  const changes = FIELD_RULES.flatMap((rule) => {
    if (same(was[rule], is[rule])) return [];
    return [`The ${rule} of the field ${field} is ${nowWas(is[rule], was[rule])}.`];
  });
  if ((was.required ?? false) !== (is.required ?? false)) {
    changes.push(`The field ${field} is ${is.required === true ? 'now required' : 'no longer required'}.`);
  }
  if ((was.sensitive ?? false) !== (is.sensitive ?? false)) {
    const effect =
      is.sensitive === true
        ? 'is now sensitive: it is not recorded'
        : 'is no longer sensitive: it is recorded in plain';
    changes.push(`The field ${field} ${effect}.`);
  }
  return changes;
}

function riskChange(name: string, was: BundleActionClass, is: BundleActionClass): string[] {
  if (was.base_risk === is.base_risk) return [];
  const moves = is.base_risk > was.base_risk ? 'rises' : 'falls';
  return [`The base risk of ${name} ${moves} from ${was.base_risk} to ${is.base_risk}.`];
}

function shadowChange(name: string, was: BundleActionClass, is: BundleActionClass): string[] {
  if ((was.shadow ?? false) === (is.shadow ?? false)) return [];
  if (is.shadow === true)
    return [`${name} goes into shadow: requests are judged and recorded, and every one is denied.`];
  return [`${name} is in shadow no longer: what its rules say is enforced.`];
}

const TIME_WORDS = {
  allow: 'is decided as usual',
  queue: 'waits',
  deny: 'is denied',
} as const;

function ttlChanges(name: string, was: BundleActionClass, is: BundleActionClass): string[] {
  const pending = [was.pending_ttl ?? DEFAULT_PENDING_TTL, is.pending_ttl ?? DEFAULT_PENDING_TTL] as const;
  const permit = [was.permit_ttl ?? DEFAULT_PERMIT_TTL, is.permit_ttl ?? DEFAULT_PERMIT_TTL] as const;
  const doubt = [was.time_uncertain ?? 'queue', is.time_uncertain ?? 'queue'] as const;
  return [
    ...(pending[0] === pending[1]
      ? []
      : [`${name} now waits ${pending[1]} for authority (was ${pending[0]}).`]),
    ...(permit[0] === permit[1] ? [] : [`Permits for ${name} now live ${permit[1]} (was ${permit[0]}).`]),
    ...(doubt[0] === doubt[1]
      ? []
      : [
          `While the clock is doubtful, ${name} ${TIME_WORDS[doubt[1]]} (it ${TIME_WORDS[doubt[0]]} before).`,
        ]),
  ];
}

function toolChanges(before: Bundle, after: Bundle): string[] {
  const was = Object.keys(before.tools);
  const is = Object.keys(after.tools);
  const users = (tool: string) =>
    Object.entries(after.actions)
      .filter(([, action]) => action.tool === tool)
      .map(([name]) => name);
  return [
    ...removed(was, is).map((name) => `The tool ${name} is gone.`),
    // What a new class does is said of the class.
    ...added(was, is)
      .filter(
        (name) => users(name).length === 0 || users(name).some((user) => Object.hasOwn(before.actions, user)),
      )
      .map((name) => `The tool ${name} is new: it ${doing(after.tools[name])}.`),
    ...is.flatMap((name) => {
      const [old, tool] = [before.tools[name], after.tools[name]];
      if (old === undefined || tool === undefined) return [];
      const by = users(name);
      return toolDifferences(
        by.length === 0 ? `The tool ${name}` : `${listed(by)} (tool ${name})`,
        old,
        tool,
      );
    }),
  ];
}

function toolDifferences(who: string, was: BundleTool, is: BundleTool): string[] {
  const changes: string[] = [];
  if (doing(was) !== doing(is)) changes.push(`${who} now ${doing(is)}; before, it ${doing(was)}.`);
  if ((was.audience ?? 'gateway') !== (is.audience ?? 'gateway')) {
    changes.push(
      `${who} is ${nowWas(is.audience ?? 'gateway', was.audience ?? 'gateway')} to redeem permits for.`,
    );
  }
  changes.push(...programChange(who, was, is));
  for (const rule of ['timeout', 'output_limit_bytes'] as const) {
    if (!same(was[rule], is[rule])) {
      const value = (tool: BundleTool) => tool[rule] ?? 'the default';
      changes.push(`${who}: ${rule} is ${nowWas(value(is), value(was))}.`);
    }
  }
  return changes;
}

function programChange(who: string, was: BundleTool, is: BundleTool): string[] {
  const pinned = (tool: BundleTool) => (tool.connector === 'exec' ? tool.sha256 : undefined);
  const [old, now] = [pinned(was), pinned(is)];
  if (old === now) return [];
  return [
    now === undefined
      ? `${who} may be any program at its path: its digest is no longer pinned.`
      : `${who} runs only the program with the digest ${now}${old === undefined ? '' : ` (was ${old})`}.`,
  ];
}

/** What a tool does, in words: `runs ["/bin/x"] with pin on stdin`. */
function doing(tool: BundleTool | undefined): string {
  if (tool === undefined) return 'does nothing';
  if (tool.connector === 'exec') {
    const stdin = tool.stdin === undefined ? '' : ` with ${listed(tool.stdin)} on stdin`;
    return `runs ${json(tool.argv)}${stdin}`;
  }
  const body = tool.body === undefined ? '' : ` with ${listed(tool.body)}`;
  return `calls ${tool.method} ${tool.path} at ${tool.address}${body}`;
}
