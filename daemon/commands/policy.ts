import { resolve } from 'node:path';
import { Command } from 'commander';
import { BundleSchema } from '../core/bundle.ts';
import { writeDurable } from '../host/durable-file.ts';
import { type PolicySource, readPolicyDirectory } from '../policy/source.ts';
import { type CaseResult, runTableTests } from '../policy/table-test.ts';
import { EXIT, endWith } from './exit.ts';
import { policyDiffCommand } from './policy/diff.ts';
import { policyHeldCommand } from './policy/held.ts';
import { policyHistoryCommand } from './policy/history.ts';
import { policyStatusCommand } from './policy/in-force.ts';
import { policyLintCommand } from './policy/lint.ts';
import { policyNewCommand } from './policy/new.ts';
import { policyReleaseCommand } from './policy/release.ts';
import { policyShadowCommand } from './policy/shadow.ts';
import { policyShowCommand } from './policy/show.ts';
import { policySimulateCommand } from './policy/simulate.ts';
import { orReport, renderPolicy, summary } from './policy/subject.ts';
import { print, printJson } from './render/output.ts';
import { count, paint, table } from './render/text.ts';

interface PolicyOptions {
  json?: boolean;
}

const EXAMPLES = `
Examples:
  holdfast policy new policies/outpost-7 --site outpost-7.example
  holdfast policy lint policies/field-site
  holdfast policy test policies/field-site
  holdfast policy build policies/field-site -o field-site.json
  holdfast policy diff active field-site.json
  holdfast policy simulate field-site.json

Exit codes: 0 done · 2 the policy has defects · 3 a test case got another verdict than expected`;

/** `holdfast policy …`: write, test and build bundles, which works on files alone; and see what a site runs. */
export function policyCommand(): Command {
  return new Command('policy')
    .description('Write, test and build policy bundles; see which ones are in force.')
    .addHelpText('after', EXAMPLES)
    .addCommand(policyNewCommand())
    .addCommand(policyLintCommand())
    .addCommand(testCommand())
    .addCommand(buildCommand())
    .addCommand(policyDiffCommand())
    .addCommand(policySimulateCommand())
    .addCommand(policyShadowCommand())
    .addCommand(schemaCommand())
    .addCommand(policyStatusCommand())
    .addCommand(policyShowCommand())
    .addCommand(policyHeldCommand())
    .addCommand(policyReleaseCommand())
    .addCommand(policyHistoryCommand());
}

function testCommand(): Command {
  return new Command('test')
    .description("Run the policy's own table tests, DIR/tests/*.yaml.")
    .argument('<dir>', 'directory of YAML files')
    .action((dir: string, options: PolicyOptions) => {
      const source = readOrReport(dir, options);
      const results = source === null ? null : testOrReport(dir, source, options);
      if (source === null || results === null) return;
      const failed = results.filter(({ differences }) => differences.length > 0).length;
      if (options.json) {
        printJson({
          ok: failed === 0,
          ...summary(source),
          passed: results.length - failed,
          failed,
          cases: results,
        });
      } else print(renderResults(dir, results, failed));
      endWith(failed === 0 ? EXIT.done : EXIT.refused);
    });
}

function buildCommand(): Command {
  return new Command('build')
    .description('Build a policy directory into one bundle file (canonical JSON).')
    .argument('<dir>', 'directory of YAML files')
    .requiredOption('-o, --output <file>', 'where the bundle goes')
    .action((dir: string, options: PolicyOptions & { output: string }) => {
      const source = readOrReport(dir, options);
      if (source === null) return;
      writeDurable(resolve(options.output), source.bytes, 0o644);
      if (options.json) printJson({ ok: true, ...summary(source), output: options.output });
      else print(`${paint('green', 'BUILT')}  ${options.output}\n${renderPolicy(source)}`);
    });
}

/** For editors and other tools; `policies/schema/bundle.schema.json` is this command's output. */
function schemaCommand(): Command {
  return new Command('schema')
    .description('Print the JSON Schema of a bundle.')
    .action(() => print(bundleSchemaText()));
}

/** JSON Schema (2020-12) of the built bundle. Each YAML file of a policy directory is one member of it. */
export function bundleSchemaText(): string {
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Holdfast policy bundle v1',
    ...BundleSchema,
  };
  return JSON.stringify(schema, null, 2);
}

/** The policy, or null after its defects have been said. */
function readOrReport(dir: string, options: PolicyOptions): PolicySource | null {
  return orReport(dir, options, () => readPolicyDirectory(dir));
}

function testOrReport(dir: string, { compiled }: PolicySource, options: PolicyOptions): CaseResult[] | null {
  return orReport(dir, options, () => runTableTests(dir, compiled));
}

function renderResults(dir: string, results: readonly CaseResult[], failed: number): string {
  if (results.length === 0) return `${dir} has no table tests. Put them into ${dir}/tests/NAME.yaml.`;
  const body = results.map(({ name, result, band, differences }) => [
    differences.length === 0 ? 'ok' : 'FAILED',
    result,
    band ?? '–',
    name,
  ]);
  const wrong = results
    .filter(({ differences }) => differences.length > 0)
    .map(({ file, line, name, differences, reasons }) =>
      [
        `${file}:${line}  ${name}`,
        ...differences.map((text) => `  ${text}`),
        ...reasons.map((text) => `  because: ${text}`),
      ].join('\n'),
    );
  const verdict =
    failed === 0
      ? paint('green', `${count(results.length, 'case')} as expected`)
      : paint('red', `${failed} of ${count(results.length, 'case')} not as expected`);
  return [table(['', 'result', 'band', 'case'], body), '', ...wrong, verdict].join('\n');
}
