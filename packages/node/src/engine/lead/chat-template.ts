import { Template } from '@huggingface/jinja';
import { SkeinError, type ChatMessage } from '@skein/protocol';

/** Renders conversations through the template that the model's file carries. */
export class ChatTemplate {
  readonly #template: Template;
  readonly #bos: string;
  readonly #eos: string;

  /** Throws `model-invalid` for a template that does not parse. */
  constructor(source: string, specialTexts: { bos: string; eos: string }) {
    try {
      this.#template = new Template(source);
    } catch (error) {
      throw new SkeinError('model-invalid', "the model's chat template does not parse; use plain completions", {
        cause: error,
      });
    }
    this.#bos = specialTexts.bos;
    this.#eos = specialTexts.eos;
  }

  /**
   * The text that the model continues as the assistant.
   * @throws SkeinError `invalid-request` with the template's own words when it refuses the conversation
   */
  render(messages: readonly ChatMessage[]): string {
    try {
      return this.#template.render({
        // `developer` is OpenAI's newer word for `system`, which is the one that templates know.
        messages: messages.map((message) => (message.role === 'developer' ? { ...message, role: 'system' } : message)),
        add_generation_prompt: true,
        bos_token: this.#bos,
        eos_token: this.#eos,
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new SkeinError('invalid-request', `the model's chat template refuses these messages: ${reason}`, {
        cause: error,
      });
    }
  }
}
