import type { Command } from 'commander';
import { addMirrorSetup } from './mirror-setup.ts';
import { addMirrorStatus } from './mirror-status.ts';
import { addMirrorSync } from './mirror-sync.ts';

export function addMirror(program: Command): void {
  const mirror = program.command('mirror').summary('what has to do with the section mirror');
  addMirrorSetup(mirror);
  addMirrorSync(mirror);
  addMirrorStatus(mirror);
}
