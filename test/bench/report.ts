import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Machine } from './machine.ts';

/** One line of the table. Figures without a goal are for information. */
export interface Figure {
  name: string;
  unit: string;
  ours: number | null;
  with?: { name: string; value: number | null };
  goal?: Goal;
  /** Why there is no value, or what to know when reading it. */
  note?: string;
}

/** What is to be reached: of the ratio ours / other where there is something to compare with, else of ours. */
export interface Goal {
  of: 'ratio' | 'ours';
  at: 'least' | 'most' | 'below';
  value: number;
}

export interface Report {
  machine: Machine;
  mode: 'full' | 'quick';
  taken_at: string;
  seconds: number;
  /** How the rounds were run and what was checked. */
  conditions: Record<string, number | string>;
  figures: (Figure & { ratio: number | null; met: boolean | null })[];
}

/** Adds to every figure its ratio and whether its goal was met; null where something was not measured. */
export function judge(figures: readonly Figure[]): Report['figures'] {
  return figures.map((figure) => {
    const other = figure.with?.value ?? null;
    const ratio = figure.ours === null || other === null ? null : figure.ours / other;
    return { ...figure, ratio, met: metGoal(figure.goal, figure.goal?.of === 'ours' ? figure.ours : ratio) };
  });
}

function metGoal(goal: Goal | undefined, value: number | null): boolean | null {
  if (goal === undefined || value === null) return null;
  if (goal.at === 'least') return value >= goal.value;
  return goal.at === 'most' ? value <= goal.value : value < goal.value;
}

/** The report as a table for people. */
export function renderReport(report: Report): string {
  const { machine } = report;
  const head = ['figure', 'ours', 'compared with', 'ratio', 'to reach', 'met'];
  const rows = report.figures.map((figure) => [
    figure.name,
    show(figure.ours, figure.unit),
    figure.with === undefined ? '–' : `${figure.with.name} ${show(figure.with.value, figure.unit)}`,
    figure.ratio === null ? '–' : `${figure.ratio.toFixed(2)}×`,
    showGoal(figure),
    figure.met === null ? '–' : figure.met ? 'yes' : 'NO',
  ]);
  const notes = report.figures
    .filter(({ note }) => note !== undefined)
    .map(({ name, note }) => `  ${name}: ${note}`);
  const conditions = Object.entries(report.conditions).map(([name, value]) => `${name} ${value}`);
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memory_gib} GiB, Linux ${machine.kernel}, Node ${machine.node}, ${machine.filesystem}, 4 KiB write + fdatasync ${machine.fsync_ms.toFixed(2)} ms`,
    `${report.mode} run of ${report.seconds.toFixed(0)} s; ${conditions.join('; ')}`,
    '',
    ...table([head, ...rows]),
    ...(notes.length > 0 ? ['', ...notes] : []),
  ].join('\n');
}

/** Writes the report as JSON, making its directory. */
export function writeReport(report: Report, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`);
}

function show(value: number | null, unit: string): string {
  if (value === null) return 'not measured';
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits })} ${unit}`;
}

function showGoal({ goal, unit }: Figure): string {
  if (goal === undefined) return 'information';
  const sign = { least: '≥', most: '≤', below: '<' }[goal.at];
  return goal.of === 'ratio'
    ? `${sign} ${goal.value}×`
    : `${sign} ${goal.value.toLocaleString('en')} ${unit}`;
}

function table(rows: string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const rule = widths.map((width) => '─'.repeat(width)).join('  ');
  return [lines[0] ?? '', rule, ...lines.slice(1)];
}
