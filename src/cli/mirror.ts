import type { Command } from 'commander';
import { addMirrorStatus } from './mirror-status.ts';

export function addMirror(program: Command): void {
  const mirror = program.command('mirror').summary('ask what the mirror does');
  addMirrorStatus(mirror);
}
