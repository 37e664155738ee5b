import { readFileSync } from 'node:fs';

/** The version of the package. */
export function version(): string {
  // Two folders up from both src/cli and dist/src/cli lies either the package or its build.
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const { version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string };
      return version;
    } catch {
      // The other one, then.
    }
  }
  throw new Error('package.json is missing: the installation is not whole');
}
