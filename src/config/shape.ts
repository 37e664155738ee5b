import { z } from 'zod';
import { secret } from './values.ts';

/** What a schema says of where values are, without what they must be: enough to find one's way by name. */
export type Shape = SectionShape | MapShape | ListShape | LeafShape;

export interface SectionShape {
  readonly kind: 'section';
  readonly keys: ReadonlyMap<string, Shape>;
}

/** Free keys. */
export interface MapShape {
  readonly kind: 'map';
  readonly value: Shape;
}

export interface ListShape {
  readonly kind: 'list';
  readonly item: Shape;
}

export interface LeafShape {
  /** How a scalar is to be read; `any`: as it looks, and it need not be a scalar. */
  readonly kind: 'text' | 'flag' | 'number' | 'any';
  readonly secret: boolean;
}

export const anyShape: LeafShape = { kind: 'any', secret: false };

/** @throws TypeError when the schema is made of something that no configuration has needed so far */
export function shapeOf(schema: z.core.$ZodType): Shape {
  if (schema === secret) return { kind: 'text', secret: true };
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) {
    return shapeOf(schema.unwrap());
  }
  if (schema instanceof z.ZodPipe) return shapeOf(schema.in);
  if (schema instanceof z.ZodObject) {
    const shape: z.core.$ZodShape = schema.shape;
    return { kind: 'section', keys: new Map(Object.entries(shape).map(([key, child]) => [key, shapeOf(child)])) };
  }
  if (schema instanceof z.ZodRecord) return { kind: 'map', value: shapeOf(schema.valueType) };
  if (schema instanceof z.ZodArray) return { kind: 'list', item: shapeOf(schema.element) };
  if (schema instanceof z.ZodBoolean) return { kind: 'flag', secret: false };
  if (schema instanceof z.ZodNumber) return { kind: 'number', secret: false };
  if (schema instanceof z.ZodString || schema instanceof z.ZodEnum || schema instanceof z.ZodLiteral) {
    return { kind: 'text', secret: false };
  }
  if (schema instanceof z.ZodUnknown) return anyShape;
  throw new TypeError(`no shape for a schema of type ${schema._zod.def.type}`);
}

/** The shape of the key at a path, or undefined where no key is. */
export function shapeAt(shape: Shape | undefined, path: readonly PropertyKey[]): Shape | undefined {
  const [segment, ...rest] = path;
  if (segment === undefined || shape === undefined || shape.kind === 'any') return shape;
  if (shape.kind === 'section') return shapeAt(shape.keys.get(String(segment)), rest);
  if (shape.kind === 'map') return shapeAt(shape.value, rest);
  return shape.kind === 'list' ? shapeAt(shape.item, rest) : undefined;
}

/** The dotted name of every key with a value of its own, e.g. `http.tls.key`, `health.http[].uri`. */
export function keysOf(shape: Shape, path = ''): string[] {
  if (shape.kind === 'section') {
    return [...shape.keys].flatMap(([key, child]) => keysOf(child, path === '' ? key : `${path}.${key}`));
  }
  return shape.kind === 'list' && shape.item.kind === 'section' ? keysOf(shape.item, `${path}[]`) : [path];
}
