import { actMember, type EvidenceIndex, proofMember, signatureMember } from '../formats/evidence.ts';

/** `README.txt`: what the files are, and how to check them with nothing of ours. Fixed text but for names and numbers. */
export function readmeOf(index: EvidenceIndex): string {
  const own = index.entries.filter(({ role }) => role === 'decision');
  const first = own[0]?.index ?? 0;
  const signed = own.find(({ type }) => type === 'approval.added')?.index;
  const act =
    signed === undefined
      ? 'Nobody signed for this decision.'
      : `  ssh-keygen -Y verify -f acts/allowed_signers -I PERSON -n approval@holdfast \\
      -s ${signatureMember(signed)} < ${actMember(signed)}`;
  return `Evidence about ${index.decision}
of ${index.site}, from the log ${index.origin} at ${index.tree_size} entries.

With holdfast, on any machine, without a network:
  holdfast evidence verify FILE.tar --trust TRUST.json
  holdfast evidence report FILE.tar --trust TRUST.json -o report.html
TRUST.json must come from somewhere that you believe. The trust.json in here is what the site says of itself.

Without holdfast:
  sha256sum -c SHA256SUMS
${act}

  evidence.json           what is in here, and why
  SHA256SUMS              digest of every file
  statement.dsse.json     the site's signed statement over these digests (DSSE, in-toto Statement v1);
                          statement.json, unsigned, where this was made of copied files
  ledger/checkpoint       the log's signed tree head (C2SP tlog-checkpoint, signed note)
  ledger/cosigned         the newest one that witnesses cosigned, if there is one
  ledger/consistency/     that the trees which signers had seen are part of this one (C2SP tlog-witness add-checkpoint)
  entries/N.json          entry N of the log, byte for byte (RFC 8785 JSON)
  entries/N.tlog-proof    its proof under that tree head (C2SP tlog-proof, RFC 6962), e.g. ${proofMember(first)}
  acts/N.json, N.sig      what a person signed, and the SSH signature (SSHSIG)
  acts/allowed_signers    the keys of people as the policy has them
  policy/                 the signed repository (TUF 1.0) under which the policy was put in force, with the policy
  disclosed/              salt and value of sensitive fields that are shown; others are in here as commitments only
`;
}
