import type { Machine } from './machine/describe.ts';
import { type LineResult, type RegistryResult, reaches, summarize } from './results.ts';

/** The registry that the others are compared with. */
export const reference = 'distribution';

/** Above this share of the machine, other programs are mentioned beside a number. */
const disturbing = 0.05;

const widths = [54, 14, 14, 16, 12, 26, 24] as const;

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

export function tableHead(): string {
  const head = row(['line', 'registry', 'rate', 'CPU', 'peak RSS', `ratio to ${reference}`, 'aim']);
  return `${head}\n${'-'.repeat(widths.reduce((sum, width) => sum + width + 1, -1))}`;
}

/** The rows of one line: one for each registry, the notes below. */
export function tableRows(line: LineResult, judged: boolean): string {
  const compared = line.registries.find(({ registry }) => registry === reference);
  const notes: string[] = [];
  const rows = line.registries.map((result, index) => {
    const summary = summarize(result, compared);
    const { rate, cpu, peakMemory, ratio, foreign } = summary;
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
      verdict(line, result, judged),
    ]);
  });
  return [...rows, ...notes].join('\n');
}

function times(ratio: number): string {
  return `${ratio.toFixed(2)}×`;
}

/** Empty for the reference, for lines without an aim and where the sizes are not those that the aims are meant for. */
export function verdict(line: LineResult, result: RegistryResult, judged: boolean): string {
  if (line.aim === undefined || !judged || result.registry === reference) return '';
  const compared = line.registries.find(({ registry }) => registry === reference);
  const reached = reaches(line.aim, summarize(result, compared));
  if (reached === undefined) return '';
  const aim = 'ratio' in line.aim ? `≥ ${line.aim.ratio}×` : `< ${line.aim.peakMemory / (1 << 20)} MiB`;
  return `${aim} ${reached ? 'reached' : 'not reached'}`;
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
