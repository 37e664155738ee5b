const units = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** For people: `512 B`, `1.50 KiB`, `23.4 MiB`, `999 MiB`: three digits where there are as many, four from 1000 on. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  let value = bytes;
  let unit = '';
  for (const next of units) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
}
