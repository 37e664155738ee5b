import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Sizes } from './lines/line.ts';
import type { Program } from './server.ts';
import { reference } from './table.ts';

export const help = `Measures berth beside other registries on this machine.

  npm run bench -- [options]

  --only <pattern>       only lines whose name matches the regular expression
  --rounds <n>           rounds for each line (5)
  --seconds <n>          of one measurement, where the line is not bound to an amount (3)
  --other <name=command> one more registry: a program, with arguments if it needs some, that takes
                         \`serve <config.yml>\`, e.g. --other v3=/usr/local/bin/registry; may be repeated
  --without <name>       leaves out berth or distribution; may be repeated
  --distribution <command>  what distribution is (docker-registry)
  --folder <path>        below which the data are kept while it runs (${tmpdir()})
  --json <file>          writes every round into a file
  --blob-mib <n>         size of the large blobs in MiB (256)
  --repositories <n>     of the catalogue (2000)
  --tags <n>             of the repository with many tags (5000)
  --list                 names the lines
  --help                 this text

The aims are judged with the usual sizes only.`;

export interface Options {
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

function parseValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        only: { type: 'string', default: '' },
        rounds: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '3' },
        other: { type: 'string', multiple: true, default: [] },
        without: { type: 'string', multiple: true, default: [] },
        distribution: { type: 'string', default: 'docker-registry' },
        folder: { type: 'string', default: tmpdir() },
        json: { type: 'string' },
        'blob-mib': { type: 'string', default: '256' },
        repositories: { type: 'string', default: '2000' },
        tags: { type: 'string', default: '5000' },
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
  const sizes: Sizes = {
    blobMib: count('blob-mib', values['blob-mib']),
    repositories: count('repositories', values.repositories),
    tags: count('tags', values.tags),
  };
  return {
    only: parsePattern(values.only),
    rounds: count('rounds', values.rounds),
    seconds: count('seconds', values.seconds),
    programs,
    folder: values.folder,
    json: values.json,
    sizes,
    usualSizes: sizes.blobMib === 256 && sizes.repositories === 2000 && sizes.tags === 5000,
    list: values.list,
    help: values.help,
  };
}
