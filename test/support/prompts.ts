/** Ordinary text of more than 300 tokens for SmolLM2: several times as many micro-batches as a pipeline has stages. */
export const longPassage = `The harbour town had two clocks. One hung above the fish market and ran seven minutes fast, because the
auctioneer liked buyers to hurry. The other sat in the tower of the customs house and ran, as far as anyone could tell,
exactly right. Children learned early which clock to believe for which purpose. School began by the tower, supper by the
market, and quarrels about being late were settled by walking up the hill to look.

When the railway came, the company sent a man with a third clock. He carried it in a padded box on his knees for the whole
journey, and he set it on a bracket in the station hall with a spirit level and a good deal of breath held in. It told the time
of the capital, two hundred miles to the east, and so it disagreed with the tower by eleven minutes. The man explained this
patiently to everybody who asked. The sun, he said, reaches the capital first, and a train cannot stop at every village to
ask what the sun has been doing there. From now on there would be one time for all the stations on the line.

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
