import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The top folder of the project, from its sources and from what they are compiled to. */
export function projectRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}
