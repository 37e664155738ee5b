import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TestCertificate {
  /** Paths. */
  certificate: string;
  key: string;
  /** Content, PEM. */
  cert: string;
  privateKey: string;
}

export interface TestAuthority extends TestCertificate {
  /** A certificate for `localhost` and 127.0.0.1, for servers and clients. */
  issue(name: string): TestCertificate;
}

export interface TestCertificates {
  folder: string;
  authority(name: string): TestAuthority;
  remove(): void;
}

/** Makes certificates with the `openssl` command in a folder of their own. */
export function createTestCertificates(): TestCertificates {
  const folder = mkdtempSync(join(tmpdir(), 'berth-tls-'));
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

  const describe = (name: string): TestCertificate => {
    const certificate = join(folder, `${name}.pem`);
    const key = join(folder, `${name}.key`);
    return { certificate, key, cert: readFileSync(certificate, 'utf8'), privateKey: readFileSync(key, 'utf8') };
  };

  const authority = (ca: string): TestAuthority => {
    openssl('req', '-x509', ...newKey, '-subj', `/CN=${ca}`, '-keyout', `${ca}.key`, '-out', `${ca}.pem`);
    const issue = (name: string) => {
      writeFileSync(join(folder, `${name}.ext`), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
      openssl('req', ...newKey, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
      const signed = ['-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial', '-days', '2'];
      openssl('x509', '-req', '-in', `${name}.csr`, ...signed, '-extfile', `${name}.ext`, '-out', `${name}.pem`);
      return describe(name);
    };
    return { ...describe(ca), issue };
  };

  return { folder, authority, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
