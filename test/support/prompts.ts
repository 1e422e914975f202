/** Ordinary text of more than 250 tokens for SmolLM2: several times as many micro-batches as a pipeline has stages. */
export const longPassage = `The harbour town had two clocks. One hung above the fish market and ran seven minutes fast, because the
auctioneer liked buyers to hurry. The other sat in the tower of the customs house and ran, as far as anyone could tell,
exactly right. Children learned early which clock to believe for which purpose. School began by the tower, supper by the
market, and quarrels about being late were settled by walking up the hill to look.

A railway was built, with a third clock in the station hall, and it told the time of the capital.

In the spring the tower was mended. The clockmaker climbed down, wiped his hands and asked the mayor what hour he should set
it to. The mayor looked across the square at the station hall for rather a long while. Then he said that he supposed it
had better agree with the trains, and that there was no need to mention it to anyone. The clockmaker nodded. He moved the
minute hand eleven minutes forward, and nobody in the town ever spoke of those eleven minutes again, although the baker, to
the end of his life, sold his bread a little early.`;

/** Questions that a person might ask, short to long. */
export const prompts: readonly string[] = [
  'What is the capital of France?',
  'List three reasons to keep a diary, each in one line.',
  `Summarise this story in one sentence.\n\n${longPassage}`,
];

export const systemPrompt = 'You are a helpful assistant.';
