import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Environment } from '../environment.ts';
import { ConfigError, formatFinding } from '../finding.ts';
import { type LoadedConfig, loadConfig } from '../load.ts';
import type { CheckParameters } from '../storage-driver.ts';

const accept: CheckParameters = () => ({ faults: [], warnings: [] });

/** Three drivers of which one has an opinion. */
export const drivers: Readonly<Record<string, CheckParameters>> = {
  filesystem: accept,
  inmemory: accept,
  s3: (parameters) => ({
    faults: [
      ...('bucket' in parameters ? [] : [{ key: 'bucket', message: 'is missing' }]),
      ...(String(parameters.secretkey ?? 'a long one').length < 6
        ? [{ key: 'secretkey', message: `must have 6 characters, not ${JSON.stringify(parameters.secretkey)}` }]
        : []),
    ],
    warnings: 'acl' in parameters ? [{ key: 'acl', message: 'is not known' }] : [],
  }),
};

/** Loads a file `config.yml` with this content; its folder is cut from the sources. */
export async function loadText(text: string, environment: Environment = {}): Promise<LoadedConfig> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-config-'));
  try {
    await writeFile(join(folder, 'config.yml'), text);
    return await loadConfig({ path: join(folder, 'config.yml'), environment, drivers });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The warnings as lines, without the folder. */
export function warningsOf({ warnings }: LoadedConfig): string[] {
  return warnings.map(formatFinding).map(withoutFolder);
}

/** The faults that loading such a file ends with, as lines, without the folder. */
export async function faultsOf(text: string, environment: Environment = {}): Promise<string[]> {
  const error: unknown = await loadText(text, environment).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ConfigError);
  return error instanceof ConfigError ? error.faults.map(formatFinding).map(withoutFolder) : [];
}

/** A file with one more part. */
export function fileWith(part: string): string {
  return `version: 0.1\nstorage: inmemory\n${part}\n`;
}

export function withoutFolder(line: string): string {
  return line.replaceAll(/[^ (]*\/(?=config\.yml)/g, '');
}
