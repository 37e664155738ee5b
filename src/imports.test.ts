import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const top = fileURLToPath(new URL('..', import.meta.url));

/** Which folder may import which (itself aside), with the reason for those that may import little. */
const mayImport: Record<string, { from: readonly string[]; because: string }> = {
  'storage-drivers': {
    from: ['src/wire'],
    because: 'a driver must be usable, and tested, without a registry; the wire knows neither',
  },
  'src/wire': { from: [], because: 'it carries bytes, and knows neither registries nor storage' },
  'src/oci': { from: [], because: 'the vocabulary is pure' },
  'src/config': { from: [], because: 'settings are data; who uses them asks for what it needs' },
  'src/auth': { from: ['src/oci'], because: 'who may do what has nothing to do with how things are stored or sent' },
  'src/registry': {
    from: ['src/oci', 'storage-drivers/driver.ts'],
    because: 'a registry knows no HTTP, and of drivers only the contract',
  },
  'src/mirror': {
    from: ['src/oci', 'src/registry', 'src/wire', 'storage-drivers/driver.ts'],
    because:
      'a mirror is a registry before another one; who asks it, and how it is configured, is not its business, and only to make room it looks at the storage itself',
  },
  'src/observe': { from: ['src/oci', 'src/registry'], because: 'it watches the registry through its contract' },
  'src/http': {
    from: ['src/oci', 'src/registry', 'src/auth'],
    because: 'routes speak to a Registry and an AccessController only',
  },
  'src/mirroring': {
    from: [
      'src/oci',
      'src/config',
      'src/registry',
      'src/auth',
      'src/mirror',
      'src/http/log.ts',
      'src/observe/log.ts',
      'src/shared-store.ts',
      'storage-drivers/driver.ts',
      'storage-drivers/filesystem/options.ts',
    ],
    because: 'it builds what the configuration asks for; server and commands ask it, and not the other way round',
  },
  'src/cli': { from: ['*'], because: '' },
  src: { from: ['*'], because: '' },
  conformance: { from: [], because: 'it tests any registry from outside' },
  bench: { from: [], because: 'it measures any registry from outside' },
};

function filesBelow(folder: string): string[] {
  return readdirSync(join(top, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(top, join(entry.parentPath, entry.name)).split(sep).join('/'));
}

/** The folder of the table that a file belongs to: `src/http/routes/x.ts` is in `src/http`, `src/main.ts` in `src`. */
function folderOf(file: string): string {
  const [first = '', second = ''] = file.split('/');
  return first === 'src' && !second.endsWith('.ts') ? `${first}/${second}` : first;
}

/** Relative imports and re-exports of a file, as paths from the top. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(top, file), 'utf8');
  const specifiers = [...text.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)['"](\.{1,2}\/[^'"]+)['"]/g)].map(
    (match) => match[1] ?? '',
  );
  return specifiers.map((specifier) =>
    relative(top, resolve(dirname(join(top, file)), specifier))
      .split(sep)
      .join('/'),
  );
}

const files = ['src', 'storage-drivers', 'conformance', 'bench'].flatMap(filesBelow);

describe('imports', () => {
  it('finds the project', () => {
    expect(files).toContain('src/registry/registry.ts');
    expect(importsOf('src/registry/layout.ts')).toContain('src/oci/digest.ts');
  });

  it('has a place in the table for every folder', () => {
    const unknown = new Set(files.map(folderOf).filter((folder) => !(folder in mayImport)));
    expect([...unknown], 'place these folders in the table of this test').toEqual([]);
  });

  it('go only in the allowed direction', () => {
    const wrong: string[] = [];
    for (const file of files) {
      const rule = mayImport[folderOf(file)];
      if (rule === undefined) continue;
      for (const imported of importsOf(file)) {
        const folder = folderOf(imported);
        if (folder === folderOf(file) || rule.from.includes('*')) continue;
        const allowed = rule.from.includes(folder) || rule.from.includes(imported);
        // Tests may put the real thing below what they test.
        const inTest = file.endsWith('.test.ts') && folder === 'storage-drivers';
        if (!allowed && !inTest) wrong.push(`${file} imports ${imported}: ${rule.because}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});
