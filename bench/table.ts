import type { Machine } from './machine/describe.ts';
import { type LineResult, type RegistryResult, reaches, summarize } from './results.ts';
import type { RequestCounts } from './storage/storage.ts';

/** The registry that the others are compared with. */
export const reference = 'distribution';

/** Above this share of the machine, other programs are mentioned beside a number. */
const disturbing = 0.05;

const widths = [54, 14, 14, 16, 12, 26] as const;

function row(cells: readonly string[]): string {
  return cells
    .map((cell, index) => cell.padEnd(widths[index] ?? 0))
    .join(' ')
    .trimEnd();
}

/** Three significant digits, and every digit before the point. */
export function formatNumber(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** @param last what the last column is about */
export function tableHead(last: 'aim' | 'S3 requests per operation'): string {
  const head = row(['line', 'registry', 'rate', 'CPU', 'peak RSS', `ratio to ${reference}`, last]);
  return `${head}\n${'-'.repeat(widths.reduce((sum, width) => sum + width + 1, 24))}`;
}

/** E.g. `4.5: 2.0 GET, 2.5 PUT`. */
export function requestsText(requests: RequestCounts): string {
  const kinds = Object.entries(requests).sort(([one], [other]) => (one < other ? -1 : 1));
  const sum = kinds.reduce((total, [, count]) => total + count, 0);
  const list = kinds.map(([kind, count]) => `${formatNumber(count)} ${kind}`).join(', ');
  return kinds.length === 0 ? '0' : `${formatNumber(sum)}: ${list}`;
}

/**
 * The rows of one line: one for each registry, the notes below.
 *
 * @param judged whether to say if the aim is reached
 */
export function tableRows(line: LineResult, judged: boolean): string {
  const compared = line.registries.find(({ registry }) => registry === reference);
  const notes: string[] = [];
  const rows = line.registries.map((result, index) => {
    const { rate, cpu, peakMemory, ratio, foreign } = summarize(result, compared);
    const verdict = judged ? judge(line, result) : undefined;
    if (result.note) notes.push(`  ${result.registry} ${result.note}`);
    if (foreign > disturbing) {
      notes.push(`  ${result.registry}: other programs took up to ${Math.round(foreign * 100)} % of the machine`);
    }
    return row([
      index === 0 ? line.name : '',
      result.registry,
      `${formatNumber(rate.median)} ${line.unit}`,
      `${formatNumber(cpu)} ${line.unit === 'MB/s' ? 's/GB' : 'ms/op'}`,
      `${formatNumber(peakMemory / (1 << 20))} MiB`,
      ratio === undefined ? '' : `${times(ratio.median)} (${times(ratio.min)} .. ${times(ratio.max)})`,
      [
        ...(verdict === undefined ? [] : [`${verdict.aim} ${verdict.reached ? 'reached' : 'not reached'}`]),
        ...(result.requests === undefined ? [] : [requestsText(result.requests)]),
      ].join('  '),
    ]);
  });
  return [...rows, ...notes].join('\n');
}

function times(ratio: number): string {
  return `${ratio.toFixed(2)}×`;
}

export interface Verdict {
  /** E.g. `≥ 4×`. */
  aim: string;
  reached: boolean;
}

/** Whether a registry reaches the aim of a line; undefined for the reference, and where there is no aim or nothing to compare with. */
export function judge(line: LineResult, result: RegistryResult): Verdict | undefined {
  if (line.aim === undefined || result.registry === reference) return undefined;
  const compared = line.registries.find(({ registry }) => registry === reference);
  const reached = reaches(line.aim, summarize(result, compared));
  if (reached === undefined) return undefined;
  const aim = 'ratio' in line.aim ? `≥ ${line.aim.ratio}×` : `< ${line.aim.peakMemory / (1 << 20)} MiB`;
  return { aim, reached };
}

/** How many aims each registry reaches, and which it does not. Empty where nothing is judged. */
export function verdictText(lines: readonly LineResult[]): string {
  const judged = lines.flatMap((line) =>
    line.registries.map((result) => ({ line, registry: result.registry, verdict: judge(line, result) })),
  );
  return [...new Set(judged.map(({ registry }) => registry))]
    .flatMap((name) => {
      const mine = judged.filter(({ registry, verdict }) => registry === name && verdict !== undefined);
      const missed = mine.filter(({ verdict }) => verdict?.reached === false);
      if (mine.length === 0) return [];
      return [
        `${name}: ${mine.length - missed.length} of ${mine.length} aims reached`,
        ...missed.map(({ line, verdict }) => `  not reached: ${line.name} (${verdict?.aim})`),
      ];
    })
    .join('\n');
}

export function machineText(machine: Machine): string {
  return [
    `cpu          ${machine.cpu}, ${machine.cores} cores`,
    `memory       ${formatNumber(machine.memory / (1 << 30))} GiB`,
    `kernel       ${machine.kernel}`,
    `file system  ${machine.fileSystem}`,
    `node         ${machine.node}`,
    `load         ${machine.load.toFixed(2)} in the minute before`,
  ].join('\n');
}
