import { Command } from 'commander';
import { withRootOption } from './countersignature.ts';
import { parseDecisionId } from './identifiers.ts';

/** `holdfast evidence …`: everything that proves one decision, in one file. */
export function evidenceCommand(): Command {
  return new Command('evidence')
    .description('Everything that proves one decision, in one file that needs nobody to vouch for it.')
    .addCommand(exportCommand())
    .addCommand(verifyCommand())
    .addCommand(reportCommand());
}

const EXPORT_HELP = `
Examples:
  holdfast evidence export dec_… -o relay.tar --reason 'audit 2027-04'
  holdfast evidence export dec_… -o relay.tar --reason 'court order 12/7' --show psk --actor carol
  holdfast evidence export dec_… -o relay.tar --ledger copy.sqlite --trust site-trust.json --policy-store copy/policy

Through the daemon, the export is put on record first, and the file bears the site's signature. From copied files there is
neither; what proves the decision is the same. Sensitive values are in it only where --show names their field.`;

function exportCommand(): Command {
  return new Command('export')
    .description('Write the evidence about a decision: entries, proofs, acts, policy and its signatures.')
    .argument('<decision>', 'dec_…', parseDecisionId)
    .requiredOption('-o, --out <file>', 'where to write it, e.g. relay.tar')
    .option('--reason <text>', 'why it is taken away; it is recorded')
    .option('--show <field>', 'show a sensitive field of the payload; repeat it for more', collect)
    .option('--actor <id>', 'who takes it away')
    .option('--ledger <file>', 'a copied ledger file, instead of the running daemon')
    .option('--trust <file>', 'with --ledger: trust file written by `site export-trust`')
    .option('--policy-store <dir>', "with --ledger: copy of the site's state/policy")
    .addHelpText('after', EXPORT_HELP)
    .action(async (id: string, options) => {
      const { exportAndReport } = await import('./evidence-export.ts');
      await exportAndReport(id, options);
    });
}

const TRUST_HELP = `
Whose keys are believed is said by --trust (from "site export-trust", carried by hand or countersigned by headquarters), or
by --policy (C2SP tlog-policy: log, witnesses and their quorum) with --root (the policy root that the site was pinned to).
Where neither is given, the site at hand is believed.`;

const VERIFY_HELP = `
Examples:
  holdfast evidence verify relay.tar --trust site-trust.json
  holdfast evidence verify relay.tar --policy tlog-policy --root root.json

Reads the file in memory and checks all of it again: digests, statement, proofs, signatures by the keys as enrolled, the
signed policy from its root on; then judges the request again under that policy.${TRUST_HELP}
Exit codes: 0 everything holds · 10 changed, contradictory, or judged otherwise (file and field are named)
  12 not cosigned by the quorum · 13 signed by an unknown key · 14 behind a checkpoint that a signer had seen · 2 no such file`;

function verifyCommand(): Command {
  return trusting(new Command('verify'))
    .description('Check evidence with public keys alone, and judge the decision again.')
    .argument('<file>', 'tar written by `evidence export`')
    .addHelpText('after', VERIFY_HELP)
    .action(async (file: string, options) => {
      const { verifyAndReport } = await import('./evidence-verify.ts');
      await verifyAndReport(file, options);
    });
}

const REPORT_HELP = `
Examples:
  holdfast evidence report relay.tar --trust site-trust.json -o report.html

One page without scripts or anything from elsewhere, fit for paper. It begins with what the verification found.${TRUST_HELP}
Exit codes: those of "evidence verify"; the page is written in any case.`;

function reportCommand(): Command {
  return trusting(new Command('report'))
    .description('Write the evidence as a page that a court or a safety board can read.')
    .argument('<file>', 'tar written by `evidence export`')
    .requiredOption('-o, --out <file>', 'where to write it, e.g. report.html')
    .addHelpText('after', REPORT_HELP)
    .action(async (file: string, options) => {
      const { writeReport } = await import('./evidence-verify.ts');
      await writeReport(file, options);
    });
}

function trusting(command: Command): Command {
  return withRootOption(command)
    .option('--trust <file>', 'trust file written by `site export-trust`')
    .option('--policy <file>', 'C2SP tlog-policy that names the log and its witnesses');
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}
