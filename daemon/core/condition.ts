import { celEnv, isCelError, parse, plan } from '@bufbuild/cel';
import { BoundaryError } from '../formats/boundary-error.ts';
import { compilePattern, type Pattern } from './pattern.ts';

/** What a condition may look at, by name; `condition-types.ts` says which type each has. */
const VARIABLES = ['action', 'payload', 'actor', 'environment', 'context', 'labels', 'time'] as const;
export type Bindings = Readonly<Record<(typeof VARIABLES)[number], unknown>>;

/** A parsed condition. It is evaluated by one engine and was type-checked by another before it was let in. */
export interface Condition {
  readonly source: string;
  /** Members of `payload` and `labels` that it reads, and those that it asks `has()` of. */
  readonly reads: { payload: ReadonlySet<string>; labels: ReadonlySet<string> };
  readonly guards: { payload: ReadonlySet<string>; labels: ReadonlySet<string> };
  /** True, false, or null when it cannot be computed for these values (a member that is absent, an overflow). */
  evaluate(bindings: Bindings): boolean | null;
}

/** Bounds of one condition: nodes after macro expansion, nested loops, items of a list literal, characters that patterns are sized for. */
const NODES_MAX = 400;
const LOOP_NESTING_MAX = 2;
const LIST_MAX = 100;
/** Open brackets at a time: what the parser does with more of them grows without bound. */
const BRACKETS_MAX = 24;
const TEXT_MAX = 2_000;

const FUNCTIONS = new Set([
  ...['_||_', '_&&_', '!_', '_==_', '_!=_', '_<_', '_<=_', '_>_', '_>=_', '_?_:_', '_[_]', '@in'],
  ...['_+_', '_-_', '_*_', '_/_', '_%_', '-_', '@not_strictly_false'],
  ...['size', 'contains', 'startsWith', 'endsWith', 'matches', 'int', 'double', 'string', 'bool'],
]);

/** Patterns stand in the rules as literals, so they are compiled once, not at every evaluation. */
const patterns = new Map<string, Pattern>();
const PATTERNS_MAX = 5_000;
const environment = celEnv({ re2: { compile: (pattern) => ({ test: literalPattern(pattern).foundIn }) } });
type Expr = ReturnType<typeof parse>['expr'];

/**
 * Parses a condition and checks what keeps it cheap and readable. Throws `BoundaryError` `condition.syntax`,
 * `condition.too_large`, `condition.too_nested`, `condition.loop_range`, `condition.function`, `condition.name`,
 * `condition.pattern`; types are for `checkTypes`.
 */
export function parseCondition(source: string): Condition {
  if (bracketDepth(source) > BRACKETS_MAX)
    throw refuse('too_nested', `Brackets nest at most ${BRACKETS_MAX} deep.`);
  const expr = parseCel(source);
  const walk: Walk = {
    nodes: 0,
    reads: { payload: new Set(), labels: new Set() },
    guards: { payload: new Set(), labels: new Set() },
  };
  visit(expr, 0, walk);
  const run = plan(environment, expr);
  return {
    source,
    reads: walk.reads,
    guards: walk.guards,
    evaluate: (bindings) => {
      const result = run(bindings as Parameters<typeof run>[0]);
      return typeof result === 'boolean' && !isCelError(result) ? result : null;
    },
  };
}

/** How many brackets are open at once at the most; those in texts count as well. */
function bracketDepth(source: string): number {
  let open = 0;
  let most = 0;
  for (const unit of source) {
    if ('([{'.includes(unit)) most = Math.max(most, ++open);
    else if (')]}'.includes(unit)) open = Math.max(0, open - 1);
  }
  return most;
}

function parseCel(source: string): Expr {
  try {
    return parse(source).expr;
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : 'unreadable';
    throw new BoundaryError('condition.syntax', `CEL does not read it: ${detail}`, { cause });
  }
}

interface Walk {
  nodes: number;
  reads: { payload: Set<string>; labels: Set<string> };
  guards: { payload: Set<string>; labels: Set<string> };
}

function visit(expr: Expr | undefined, loops: number, walk: Walk): void {
  if (expr === undefined) return;
  walk.nodes += 1;
  if (walk.nodes > NODES_MAX)
    throw refuse('too_large', `It has more than ${NODES_MAX} parts; split it into several rules.`);
  const { exprKind } = expr;
  switch (exprKind.case) {
    case 'constExpr':
    case undefined:
      return;
    case 'identExpr':
      noteWholeUse(exprKind.value.name);
      return;
    case 'selectExpr':
      if (!noteMember(exprKind.value.operand, exprKind.value.field, exprKind.value.testOnly, walk)) {
        visit(exprKind.value.operand, loops, walk);
      }
      return;
    case 'callExpr':
      visitCall(exprKind.value, loops, walk);
      return;
    case 'listExpr':
      if (exprKind.value.elements.length > LIST_MAX)
        throw refuse('too_large', `A list has at most ${LIST_MAX} items.`);
      for (const element of exprKind.value.elements) visit(element, loops, walk);
      return;
    case 'structExpr':
      throw refuse(
        'function',
        'Maps and messages cannot be built in a condition; compare the members one by one.',
      );
    case 'comprehensionExpr':
      visitLoop(exprKind.value, loops, walk);
  }
}

type CallExpr = Extract<Expr['exprKind'], { case: 'callExpr' }>['value'];
type LoopExpr = Extract<Expr['exprKind'], { case: 'comprehensionExpr' }>['value'];

function visitCall(call: CallExpr, loops: number, walk: Walk): void {
  if (!FUNCTIONS.has(call.function))
    throw refuse('function', `There is no function "${call.function}" here.`);
  const [first, second] = call.args;
  if (call.function === 'matches') checkPattern(call.target === undefined ? second : first);
  // `payload["x"]` and `"x" in labels` name members as `payload.x` and `has(labels.x)` do.
  if (call.function === '_[_]' && memberNamed(first, second, false, walk)) return;
  if (call.function === '@in' && memberNamed(second, first, true, walk)) return;
  visit(call.target, loops, walk);
  for (const argument of call.args) visit(argument, loops, walk);
}

function memberNamed(owner: Expr | undefined, key: Expr | undefined, test: boolean, walk: Walk): boolean {
  const name = textOf(key);
  return name !== null && noteMember(owner, name, test, walk);
}

/** Loops run over what a request or rule holds as it stands: a loop over a loop's result would multiply out of sight. */
function visitLoop(loop: LoopExpr, loops: number, walk: Walk): void {
  if (loops + 1 > LOOP_NESTING_MAX) {
    throw refuse('too_nested', `all, exists, filter and map nest at most ${LOOP_NESTING_MAX} deep.`);
  }
  if (isVariable(loop.iterVar))
    throw refuse('name', `The loop variable "${loop.iterVar}" hides the variable of that name.`);
  const range = loop.iterRange?.exprKind.case;
  if (range === 'callExpr' || range === 'comprehensionExpr') {
    throw refuse(
      'loop_range',
      'Loops run over a member or a list literal; join conditions with && instead of chaining loops.',
    );
  }
  visit(loop.iterRange, loops, walk);
  visit(loop.accuInit, loops + 1, walk);
  visit(loop.loopCondition, loops + 1, walk);
  visit(loop.loopStep, loops + 1, walk);
  visit(loop.result, loops + 1, walk);
}

function noteMember(owner: Expr | undefined, field: string, testOnly: boolean, walk: Walk): boolean {
  if (owner?.exprKind.case !== 'identExpr') return false;
  const { name } = owner.exprKind.value;
  if (name !== 'payload' && name !== 'labels') return false;
  walk.nodes += 1;
  walk[testOnly ? 'guards' : 'reads'][name].add(field);
  return true;
}

function noteWholeUse(name: string): void {
  if (name === 'payload' || name === 'labels') {
    throw refuse('name', `"${name}" is used through its members, as ${name}.NAME or has(${name}.NAME).`);
  }
}

/** A pattern that comes with the request could be anything; one that stands in the rule is compiled here and now. */
function checkPattern(argument: Expr | undefined): void {
  const pattern = textOf(argument);
  if (pattern === null) throw refuse('pattern', 'matches() takes its pattern as a text literal.');
  try {
    literalPattern(pattern);
  } catch (error) {
    throw error instanceof BoundaryError ? refuse('pattern', error.message) : error;
  }
}

function literalPattern(source: string): Pattern {
  let pattern = patterns.get(source);
  if (pattern === undefined) {
    pattern = compilePattern(source, TEXT_MAX);
    if (patterns.size >= PATTERNS_MAX) patterns.clear();
    patterns.set(source, pattern);
  }
  return pattern;
}

function textOf(expr: Expr | undefined): string | null {
  if (expr?.exprKind.case !== 'constExpr') return null;
  const { constantKind } = expr.exprKind.value;
  return constantKind.case === 'stringValue' ? constantKind.value : null;
}

function isVariable(name: string): boolean {
  return (VARIABLES as readonly string[]).includes(name);
}

function refuse(code: string, message: string): BoundaryError {
  return new BoundaryError(`condition.${code}`, message);
}
