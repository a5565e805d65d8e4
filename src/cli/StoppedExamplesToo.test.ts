/** The other half of `StoppedExamples.test.ts`, in a separate file so that two workers share the time. */
import * as stoppedExamples from "./testing/stoppedExamples.ts"

stoppedExamples.declare(0)
