/*
 * Which of the looks that doctor takes speak about which controls of NIST SP 800-53 revision 5 and of IEC 62443-4-2:2019, by
 * their numbers and short names. The mapping says what a mechanism contributes to; it is no statement of conformity.
 */

export interface MappedControl {
  nist: readonly string[];
  iec: readonly string[];
  /** What holdfast does about it. */
  mechanism: string;
  /** Ids of checks; one that ends with a dot stands for all that begin so. */
  checks: readonly string[];
}

export const MAPPING: readonly MappedControl[] = [
  {
    nist: ['AC-3 Access Enforcement', 'AC-5 Separation of Duties', 'AC-3(2) Dual Authorization'],
    iec: ['CR 2.1 Authorization enforcement, RE(2) roles, RE(4) dual approval'],
    mechanism:
      'Every action is decided by signed policy before it runs; several people in different roles sign where policy says so, and nobody approves what he asked for.',
    checks: ['process.daemon', 'policy.freshness', 'health.policy'],
  },
  {
    nist: ['AC-6(9) Log Use of Privileged Functions'],
    iec: ['CR 2.1 RE(3) Supervisor override'],
    mechanism:
      'Break-glass is signed, bounded in time and scope, recorded step by step and reviewed by somebody else.',
    checks: ['control.breakglass', 'health.breakglass'],
  },
  {
    nist: ['IA-2(1), IA-2(8) Multi-factor, replay-resistant', 'IA-5(2) Public Key-based Authentication'],
    iec: [
      'CR 1.1 Human user identification and authentication',
      'CR 1.2 Software process and device identification and authentication',
    ],
    mechanism:
      'People sign with SSH or security keys over single-use texts; processes show certificates of the site.',
    checks: ['control.callers', 'health.identity', 'socket.', 'keys.tls_authority'],
  },
  {
    nist: [
      'AU-2, AU-3, AU-3(1) Event Logging, Content of Audit Records',
      'AU-12, AU-12(1) Audit Record Generation',
    ],
    iec: ['CR 2.8 Auditable events', 'CR 6.1 Audit log accessibility, RE(1) programmatic access'],
    mechanism: 'One ledger entry per step of a decision, durable before anything is answered.',
    checks: ['ledger.checkpoint', 'health.ledger', 'health.search'],
  },
  {
    nist: ['AU-4 Audit Log Storage Capacity', 'AU-5, AU-5(2) Response to Audit Logging Process Failures'],
    iec: ['CR 2.9 Audit storage capacity', 'CR 2.10 Response to audit processing failures'],
    mechanism: 'When the ledger cannot be written the answer is no; a reserve lets refusals be recorded.',
    checks: ['disk.reserve', 'health.disk', 'health.retention'],
  },
  {
    nist: ['AU-8 Time Stamps'],
    iec: ['CR 2.11 Timestamps'],
    mechanism: 'A floor under the time that never goes back, and words from outside that raise it.',
    checks: ['time.source', 'health.time'],
  },
  {
    nist: ['AU-9 Protection of Audit Information, (3) Cryptographic Protection'],
    iec: ['CR 3.9 Protection of audit information'],
    mechanism: 'A Merkle tree under signed checkpoints; the whole ledger is verified again by schedule.',
    checks: [
      'ledger.checkpoint',
      'health.integrity',
      'files.keys_mode',
      'files.state_mode',
      'keys.ledger_age',
    ],
  },
  {
    nist: ['AU-9(2) Store on Separate Physical Systems', 'AU-9(1) Write-once Media'],
    iec: ['CR 3.9 RE(1) Write-once media'],
    mechanism: 'Anchors leave the site, witnesses cosign them, a second copy can lie on another disk.',
    checks: ['anchor.age', 'control.anchoring', 'health.anchor', 'health.copy', 'trust.witnesses'],
  },
  {
    nist: ['AU-10 Non-repudiation, (2) Producer Identity, (4) Reviewer Identity'],
    iec: ['CR 2.12 Non-repudiation, RE(1) all users'],
    mechanism: 'Approvals are SSH signatures over the action; evidence is an in-toto statement under DSSE.',
    checks: ['files.trust', 'ledger.checkpoint'],
  },
  {
    nist: ['CM-3, CM-5, CM-5(1) Change Control', 'CM-5(4) Dual Authorization', 'CM-14 Signed Components'],
    iec: ['EDR/HDR 3.10 Support for updates, RE(1) authenticity and integrity'],
    mechanism: 'Policy comes as a TUF repository under threshold signatures of headquarters.',
    checks: ['control.policy_root', 'site.profile', 'policy.freshness'],
  },
  {
    nist: ['CP-9, CP-9(8) System Backup, Cryptographic Protection'],
    iec: ['CR 7.3 Control system backup, RE(1) integrity verification', 'CR 7.4 Recovery and reconstitution'],
    mechanism:
      'Backups are encrypted with age; a restore is held against every head that is known elsewhere.',
    checks: ['backup.age', 'health.backup'],
  },
  {
    nist: ['SC-8(1) Transmission Confidentiality and Integrity', 'MP-7 Media Use'],
    iec: ['CR 3.1 Communication integrity', 'CR 3.5 Input validation'],
    mechanism:
      'TLS between the roles; what comes on media is copied, bounded and verified before it is read.',
    checks: ['control.callers', 'sync.files'],
  },
  {
    nist: ['SC-12, SC-13 Key Establishment, Cryptographic Protection', 'SC-28(1) Information at Rest'],
    iec: ['CR 4.1 Information confidentiality', 'CR 4.3 Use of cryptography'],
    mechanism: 'Sensitive values and keys lie under a key-encryption key; the disk is encrypted by the host.',
    checks: ['secrets.', 'health.secrets', 'health.keys'],
  },
  {
    nist: ['SC-24 Fail in Known State'],
    iec: ['CR 3.6 Deterministic output', 'CR 3.7 Error handling'],
    mechanism:
      'Whatever cannot be verified is refused; a must-deny action is sent through the gateway by schedule.',
    checks: ['control.self_test', 'process.gateway', 'health.gateway', 'gateway.', 'decisions.unknown'],
  },
  {
    nist: ['SC-39 Process Isolation', 'SI-16 Memory Protection', 'AC-6 Least Privilege'],
    iec: ['CR 7.1 Denial of service protection', 'CR 7.2 Resource management', 'CR 7.7 Least functionality'],
    mechanism: 'Each role is a process of its own user in a sandboxed unit without privileges.',
    checks: ['sandbox.', 'files.accounts', 'files.gateway_mode', 'files.sync_mode'],
  },
  {
    nist: ['SI-7, (1), (7), (15) Integrity, Code Authentication', 'SI-10 Information Input Validation'],
    iec: [
      'CR 3.4 Software and information integrity, RE(1) authenticity, RE(2) notification',
      'EDR 3.14 Integrity of the boot process',
    ],
    mechanism: 'The program and the tools that policy pins are checked by digest before they run.',
    checks: ['tools.', 'runtime.node', 'health.integrity'],
  },
  {
    nist: ['SI-4 System Monitoring', 'IR-4 Incident Handling'],
    iec: ['CR 6.2 Continuous monitoring'],
    mechanism: 'Findings become incidents that halt what they touch; events go to a SIEM.',
    checks: ['health.incident', 'health.siem'],
  },
];
