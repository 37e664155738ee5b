import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import type { Sizes } from './lines/line.ts';
import type { Program } from './server.ts';
import { type StorageKind, storageKinds } from './storage/storage.ts';
import { reference } from './table.ts';

export const help = `Measures berth beside other registries on this machine.

  npm run bench -- [options]

  --storage <kind>       filesystem, or s3: the server named by S3_ENDPOINT, S3_REGION, S3_ACCESS_KEY and
                         S3_SECRET_KEY, or else a Ceph that goes with the run (filesystem)
  --quick                one short round with little content, to see that everything works
  --only <pattern>       only lines whose name matches the regular expression
  --rounds <n>           rounds for each line (5; quick 1)
  --seconds <n>          of one measurement, where the line is not bound to an amount (3; quick 1)
  --other <name=command> one more registry: a program, with arguments if it needs some, that takes
                         \`serve <config.yml>\`, e.g. --other v3=/usr/local/bin/registry; may be repeated
  --without <name>       leaves out berth or distribution; may be repeated
  --distribution <command>  what distribution is (docker-registry)
  --folder <path>        below which the data are kept while it runs (${tmpdir()})
  --json <file>          writes every round into a file
  --blob-mib <n>         size of the large blobs in MiB (256; quick 16)
  --repositories <n>     of the catalogue (2000; quick 200)
  --tags <n>             of the repository with many tags (5000; s3 1000; quick 200)
  --list                 names the lines
  --help                 this text

The aims are those on the filesystem, and judged with the usual sizes only.`;

export interface Options {
  storage: StorageKind;
  only: RegExp;
  rounds: number;
  seconds: number;
  programs: Program[];
  folder: string;
  json: string | undefined;
  sizes: Sizes;
  /** Whether the sizes are those that the aims are meant for. */
  usualSizes: boolean;
  list: boolean;
  help: boolean;
}

/** Wrong arguments; the message is for the user. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new UsageError(`--${name} must be a whole number from 1`);
  return value;
}

/** A name and what to run, split at blanks. */
export function parseProgram(name: string, command: string): Program {
  const [file, ...args] = command.trim().split(/\s+/);
  // The name becomes a folder.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) throw new UsageError(`not a name for a registry: ${name}`);
  if (!file) throw new UsageError(`no command for ${name}`);
  return { name, command: [file, ...args] };
}

function parseOther(text: string): Program {
  const at = text.indexOf('=');
  if (at < 0) throw new UsageError('--other must be <name>=<command>');
  return parseProgram(text.slice(0, at), text.slice(at + 1));
}

function parsePattern(text: string): RegExp {
  try {
    return new RegExp(text, 'i');
  } catch (cause) {
    throw new UsageError(`--only is no regular expression: ${text}`, { cause });
  }
}

interface Extent {
  rounds: number;
  seconds: number;
  sizes: Sizes;
}

function usualOf(storage: StorageKind): Extent {
  return { rounds: 5, seconds: 3, sizes: { blobMib: 256, repositories: 2000, tags: storage === 's3' ? 1000 : 5000 } };
}

const quick: Extent = { rounds: 1, seconds: 1, sizes: { blobMib: 16, repositories: 200, tags: 200 } };

function parseValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        only: { type: 'string', default: '' },
        storage: { type: 'string', default: 'filesystem' },
        quick: { type: 'boolean', default: false },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        other: { type: 'string', multiple: true, default: [] },
        without: { type: 'string', multiple: true, default: [] },
        distribution: { type: 'string', default: 'docker-registry' },
        folder: { type: 'string', default: tmpdir() },
        json: { type: 'string' },
        'blob-mib': { type: 'string' },
        repositories: { type: 'string' },
        tags: { type: 'string' },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** @throws UsageError */
export function parseOptions(args: readonly string[]): Options {
  const values = parseValues(args);
  const berth = fileURLToPath(new URL('../src/main.js', import.meta.url));
  const known: Program[] = [
    { name: 'berth', command: [process.execPath, berth] },
    parseProgram(reference, values.distribution),
    ...values.other.map(parseOther),
  ];
  for (const name of values.without) {
    if (!known.some((program) => program.name === name)) throw new UsageError(`--without: there is no ${name}`);
  }
  const programs = known.filter((program) => !values.without.includes(program.name));
  if (programs.length === 0) throw new UsageError('no registry is left');
  if (new Set(programs.map(({ name }) => name)).size < programs.length)
    throw new UsageError('two registries of one name');
  const storage = storageKinds.find((kind) => kind === values.storage);
  if (storage === undefined) throw new UsageError(`--storage must be ${storageKinds.join(' or ')}`);
  const usual = usualOf(storage);
  const fallback = values.quick ? quick : usual;
  const chosen = (name: 'blob-mib' | 'repositories' | 'tags' | 'rounds' | 'seconds', otherwise: number) => {
    const text = values[name];
    return text === undefined ? otherwise : count(name, text);
  };
  const sizes: Sizes = {
    blobMib: chosen('blob-mib', fallback.sizes.blobMib),
    repositories: chosen('repositories', fallback.sizes.repositories),
    tags: chosen('tags', fallback.sizes.tags),
  };
  return {
    storage,
    only: parsePattern(values.only),
    rounds: chosen('rounds', fallback.rounds),
    seconds: chosen('seconds', fallback.seconds),
    programs,
    folder: values.folder,
    json: values.json,
    sizes,
    usualSizes: isDeepStrictEqual(sizes, usual.sizes),
    list: values.list,
    help: values.help,
  };
}
