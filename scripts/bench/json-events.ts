/** Reads the JSON of a stream of server-sent events, which is taken to be of the wanted shape. */
export async function* jsonEvents<Event>(body: ReadableStream<Uint8Array>): AsyncGenerator<Event, void, undefined> {
  let rest = '';
  for await (const piece of body.pipeThrough(new TextDecoderStream())) {
    const lines = `${rest}${piece}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('data: {')) yield JSON.parse(line.slice('data: '.length)) as Event;
    }
  }
}
