/** Which people of the folders are trained on, and which are verified. */
import { realpath } from "node:fs/promises"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as CheckImages from "../CheckImages.ts"
import * as ImageListing from "../ImageListing.ts"
import * as Wording from "../Wording.ts"
import { fail, name, type Options } from "./FaceFolderOptions.ts"

/** The first `limit` people with two images or more; null: all people. */
const limited = (groups: ReadonlyArray<ImageListing.Group>, limit: number | null): ReadonlyArray<ImageListing.Group> =>
  limit === null ? groups : groups.filter((group) => group.files.length > 1).slice(0, limit)

/** The people to train on and the people to verify, with the roots of their folders. */
export const people = Effect.fnUntraced(function* (options: Options) {
  const testRoot = options.testFolder ?? options.folder
  // A test folder that is the same folder, by whatever path, has the same people.
  const isShared =
    options.testFolder === null ||
    (yield* Effect.promise(async () => {
      const [own, other] = await Promise.all([options.folder, testRoot].map((root) => realpath(root).catch(() => root)))
      return own === other
    }))
  const listing = yield* ImageListing.list(name, options.folder, { of: "person", option: "folder" })
  const testListing = isShared
    ? listing
    : yield* ImageListing.list(name, testRoot, { of: "person", option: "testFolder" })
  const [all, testAll] = [listing.groups, testListing.groups]
  if (isShared && options.testPeople === null) {
    return yield* fail(
      options.folder,
      "set testPeople (some of its folders) or testFolder (another folder): the people to verify must not be trained on"
    )
  }
  const named =
    options.testPeople === null ? testAll : yield* ImageListing.pick(name, testRoot, testAll, options.testPeople)
  const test = limited(named, options.testPeopleLimit)
  // People to verify that exceed the limit are not trained on, either.
  const testNames = new Set(isShared ? named.map((group) => group.name) : [])
  const train = limited(
    options.people === null
      ? all.filter((group) => !testNames.has(group.name))
      : yield* ImageListing.pick(name, options.folder, all, options.people),
    options.peopleLimit
  )
  const both = train.filter((group) => testNames.has(group.name)).map((group) => group.name)
  if (both.length > 0)
    return yield* fail(options.folder, `people to train on and to verify overlap: ${both.join(", ")}`)
  if (train.length < 2)
    return yield* fail(options.folder, `${Wording.counted(train.length, "person")} to train on; needs at least 2`)
  const listings = testListing === listing ? [listing] : [listing, testListing]
  const dangling = listings.flatMap(({ dangling, root }) =>
    dangling.map((path) => ({ path: join(root, path), reason: "is a broken link" }))
  )
  if (dangling.length > 0 && options.broken === "fail") {
    return yield* CheckImages.failure(name, "", dangling, true)
  }
  const single = test.filter((group) => group.files.length === 1).map((group) => group.name)
  const notices = [
    ...listings.flatMap((listing) => listing.notices),
    ...CheckImages.notices(options.folder, dangling, "left out (broken: skip)"),
    ...(single.length === 0 || options.pairs !== null
      ? []
      : [
          `${testRoot}: ${Wording.counted(single.length, "person")} to verify ${single.length === 1 ? "has" : "have"} one image, so no pair of the same person (${Wording.some(single, 5)})`
        ])
  ]
  return { train, test, testRoot, notices, skipped: listings.flatMap((listing) => listing.skipped) }
})
