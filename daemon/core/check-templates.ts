import { BoundaryError } from '../formats/boundary-error.ts';
import type { Bundle, BundleActionClass, BundleTool } from './bundle.ts';
import { type Defect, pointerOf } from './bundle-defects.ts';
import { parseTemplate, type TemplatePart } from './template.ts';

const SHELLS = new Set(['sh', 'bash', 'dash', 'ash', 'ksh', 'zsh', 'fish', 'csh', 'tcsh', 'busybox']);
/** The one text that may stand before an optional value: when the value is absent, its flag goes with it. */
const FLAG = /^--?[A-Za-z0-9][A-Za-z0-9_-]*=$/;

/** Whether every tool's template reads, and can be filled in by every class that uses the tool. */
export function checkTemplates(bundle: Bundle): Defect[] {
  return Object.entries(bundle.tools).flatMap(([name, tool]) => {
    const at = ['tools', name];
    const classes = Object.entries(bundle.actions).filter(([, action]) => action.tool === name);
    const defects = tool.connector === 'exec' ? checkProgram(tool.argv[0] ?? '', [...at, 'argv', 0]) : [];
    for (const { text, path } of textsOf(tool, at)) {
      const parts = partsOf(text);
      if (parts instanceof BoundaryError) {
        const write_instead =
          'write {{target.id}}, {{target.type}}, {{payload.FIELD}}, {{environment}} or {{decision_id}}';
        defects.push({ pointer: pointerOf(...path), found: parts.message, write_instead });
        continue;
      }
      for (const [className, action] of classes)
        defects.push(...checkParts(parts, className, action, tool, path));
    }
    for (const [className, action] of classes) defects.push(...checkObject(tool, className, action, at));
    return defects;
  });
}

type Path = (string | number)[];

function textsOf(tool: BundleTool, at: Path): { text: string; path: Path }[] {
  if (tool.connector === 'http') return [{ text: tool.path, path: [...at, 'path'] }];
  return tool.argv.map((text, index) => ({ text, path: [...at, 'argv', index] }));
}

function partsOf(text: string): TemplatePart[] | BoundaryError {
  try {
    return parseTemplate(text);
  } catch (error) {
    if (error instanceof BoundaryError) return error;
    throw error;
  }
}

/** What runs is fixed by policy: an absolute path, word for word, and never a shell that would read its arguments again. */
function checkProgram(program: string, path: Path): Defect[] {
  const segments = program.split('/');
  const absolute =
    /^(?:\/[A-Za-z0-9@%+=:,._-]+)+$/.test(program) && !segments.includes('..') && !segments.includes('.');
  if (!absolute) {
    return [
      {
        pointer: pointerOf(...path),
        found: `the program ${JSON.stringify(program.slice(0, 80))}`,
        write_instead:
          'write the absolute path of a program, such as /usr/bin/systemctl, without placeholders',
      },
    ];
  }
  if (!SHELLS.has(segments.at(-1) ?? '')) return [];
  const write_instead = 'call the program itself; a shell would read its arguments again';
  return [{ pointer: pointerOf(...path), found: `the shell ${program}`, write_instead }];
}

function checkParts(
  parts: TemplatePart[],
  className: string,
  action: BundleActionClass,
  tool: BundleTool,
  path: Path,
): Defect[] {
  const defects: Defect[] = [];
  const report = (found: string, write_instead: string) =>
    defects.push({ pointer: pointerOf(...path), found, write_instead });
  for (const part of parts) {
    if (typeof part === 'string' || part.from !== 'payload') continue;
    const field = fieldOf(action, part.field);
    const name = `{{payload.${part.field}}}`;
    if (field === undefined) {
      report(`${name}, which ${className} does not have`, `use one of ${fieldNames(action)}`);
    } else if (field.sensitive === true) {
      report(`${name}, which is sensitive in ${className}`, 'hand it over in stdin (exec) or body (http)');
    } else if (field.type === 'secret_ref') {
      report(`${name}, which names a secret in ${className}`, 'hand it over in stdin (exec) or body (http)');
    } else if (field.type === 'string_list' && (tool.connector === 'http' || parts.length > 1)) {
      report(
        `${name}, which is a list in ${className}`,
        'give the list an argv element of its own, or use stdin',
      );
    } else if (field.required !== true && !mayBeAbsent(parts, tool)) {
      report(
        `${name}, which is optional in ${className}`,
        `make it required, or write it alone or as --flag=${name}`,
      );
    }
  }
  return defects;
}

/** An optional value must take its whole element with it when it is absent. */
function mayBeAbsent(parts: TemplatePart[], tool: BundleTool): boolean {
  if (tool.connector === 'http') return false;
  const [first] = parts;
  return parts.length === 1 || (parts.length === 2 && typeof first === 'string' && FLAG.test(first));
}

function checkObject(tool: BundleTool, className: string, action: BundleActionClass, at: Path): Defect[] {
  const member = tool.connector === 'exec' ? 'stdin' : 'body';
  const fields = (tool.connector === 'exec' ? tool.stdin : tool.body) ?? [];
  const defects = fields.flatMap((name, index): Defect[] => {
    if (fieldOf(action, name) !== undefined) return [];
    const found = `the field "${name}", which ${className} does not have`;
    return [
      { pointer: pointerOf(...at, member, index), found, write_instead: `use one of ${fieldNames(action)}` },
    ];
  });
  for (const [name, { sensitive, type }] of Object.entries(action.payload ?? {})) {
    if ((sensitive !== true && type !== 'secret_ref') || fields.includes(name)) continue;
    defects.push({
      pointer: pointerOf('actions', className, 'payload', name),
      found: `a ${sensitive === true ? 'sensitive' : 'secret_ref'} field that the tool "${action.tool}" is never handed`,
      write_instead: `list "${name}" in the tool's ${member}, or take the field out`,
    });
  }
  return defects;
}

function fieldOf(action: BundleActionClass, name: string) {
  return Object.hasOwn(action.payload ?? {}, name) ? action.payload?.[name] : undefined;
}

function fieldNames(action: BundleActionClass): string {
  return Object.keys(action.payload ?? {}).join(', ') || 'the target (the class has no payload fields)';
}
