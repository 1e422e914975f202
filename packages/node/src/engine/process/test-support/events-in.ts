import { FrameParser, generationEventSchema, parseHeader, type GenerationEvent } from '@skein/protocol';

/**
 * Decodes the frames that a generation yields, as the far end of its stream does. Throws the errors of the frames'
 * source.
 */
export async function* eventsIn(
  frames: AsyncGenerator<Uint8Array, void, undefined>,
): AsyncGenerator<GenerationEvent, void, undefined> {
  const parser = new FrameParser();
  for await (const bytes of frames)
    for (const { header } of parser.push(bytes)) yield parseHeader(generationEventSchema, header);
}
