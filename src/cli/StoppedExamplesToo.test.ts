/** The other half of `StoppedExamples.test.ts`, in a file of its own so that two workers share the time. */
import * as stoppedExamples from "./testing/stoppedExamples.ts"

stoppedExamples.declare(0)
