import { asSkeinError, type Card, type Logger } from '@skein/protocol';

import { askForCredentials, authorityAmong, type OpenStream } from './ask-for-credentials.ts';
import type { Membership } from './membership.ts';

export interface RenewalComponents {
  readonly membership: Membership;
  readonly logger: Logger;
  readonly cards: () => readonly Card[];
  readonly open: OpenStream;
}

/** The renewal of our certificate in time, by the machine that holds the authority. */
export class Renewal {
  readonly #components: RenewalComponents;
  #isAsking = false;
  /** Reason of the last failure. */
  #failure: string | undefined;

  constructor(components: RenewalComponents) {
    this.#components = components;
  }

  /** Asks when it is time, and the authority is there. Never throws: there are weeks to try again. */
  async check(): Promise<void> {
    const { membership, logger, cards, open } = this.#components;
    if (this.#isAsking || !membership.needsRenewal) return;
    this.#isAsking = true;
    try {
      const authority = authorityAmong(cards(), membership.revocations.holder);
      if (authority === undefined) return;
      const { certificate, revocations } = await askForCredentials(open, authority, { type: 'renew-request' });
      await membership.adopt(revocations);
      await membership.renew(certificate);
      this.#failure = undefined;
      logger.info({ expiresAt: membership.certificate.expiresAt }, 'the certificate of this machine was renewed');
      const { clockGap } = membership;
      if (clockGap !== undefined) logger.warn({}, `${clockGap.what}; ${clockGap.fix}`);
    } catch (error) {
      const { message } = asSkeinError(error, 'peer-lost');
      const level = message === this.#failure ? 'debug' : 'warn';
      logger[level]({ error }, 'could not renew the certificate of this machine; trying again later');
      this.#failure = message;
    } finally {
      this.#isAsking = false;
    }
  }
}
