import type { Command } from 'commander';
import { addMirrorSetup } from './mirror-setup.ts';
import { addMirrorSync } from './mirror-sync.ts';

export function addMirror(program: Command): void {
  const mirror = program.command('mirror').summary('what has to do with the section mirror');
  addMirrorSetup(mirror);
  addMirrorSync(mirror);
}
