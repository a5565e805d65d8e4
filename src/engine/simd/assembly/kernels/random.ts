// Starting weights: the draws of src/random (Threefry-2x32, and Wichura's normal quantile), bit for bit. They use only
// integer operations and the four basic ones of float64, in the order written there.

import { DrawNumbers, RANDOM_PIECE } from "../generated/signatures"

const UNIFORM: i32 = 1 << 28
const NORMAL: i32 = 2 << 28

// @ts-ignore: decorator
@inline
function rounds(x: i32, y: i32, a: i32, b: i32, c: i32, d: i32): u64 {
  x += y
  y = rotl<i32>(y, a) ^ x
  x += y
  y = rotl<i32>(y, b) ^ x
  x += y
  y = rotl<i32>(y, c) ^ x
  x += y
  y = rotl<i32>(y, d) ^ x
  return ((<u64>(<u32>x)) << 32) | <u64>(<u32>y)
}

function encrypt(key0: i32, key1: i32, counter0: i32, counter1: i32): u64 {
  const key2 = key0 ^ key1 ^ 0x1bd11bda
  let w = rounds(counter0 + key0, counter1 + key1, 13, 15, 26, 6)
  w = rounds(<i32>(w >> 32) + key1, <i32>w + key2 + 1, 17, 29, 16, 24)
  w = rounds(<i32>(w >> 32) + key2, <i32>w + key0 + 2, 13, 15, 26, 6)
  w = rounds(<i32>(w >> 32) + key0, <i32>w + key1 + 3, 17, 29, 16, 24)
  w = rounds(<i32>(w >> 32) + key1, <i32>w + key2 + 4, 13, 15, 26, 6)
  return ((<u64>(<u32>(<i32>(w >> 32) + key2))) << 32) | <u64>(<u32>(<i32>w + key0 + 5))
}

function log(x: f64): f64 {
  // Only for normal (not subnormal) numbers between 0 and 1.
  const word = reinterpret<u64>(x)
  let exponent = <i32>(word >> 52) - 1023
  let mantissa = reinterpret<f64>((word & 0x000fffffffffffff) | 0x3ff0000000000000)
  if (mantissa > 4.0 / 3.0) {
    mantissa *= 0.5
    exponent += 1
  }
  const s = (mantissa - 1) / (mantissa + 1)
  const z = s * s
  let series: f64 = 1.0 / 25.0
  series = series * z + 1.0 / 23.0
  series = series * z + 1.0 / 21.0
  series = series * z + 1.0 / 19.0
  series = series * z + 1.0 / 17.0
  series = series * z + 1.0 / 15.0
  series = series * z + 1.0 / 13.0
  series = series * z + 1.0 / 11.0
  series = series * z + 1.0 / 9.0
  series = series * z + 1.0 / 7.0
  series = series * z + 1.0 / 5.0
  series = series * z + 1.0 / 3.0
  const e = <f64>exponent
  return e * 0.6931471803691238 + (2 * s + (2 * s * z * series + e * 1.9082149292705877e-10))
}

function root(x: f64): f64 {
  const word = reinterpret<u64>(x)
  let r = reinterpret<f64>(((((word >> 32) >> 1) + 0x1ff80000) << 32))
  for (let step = 0; step < 5; step++) r = 0.5 * (r + x / r)
  return r
}

// @ts-ignore: decorator
@inline
function polynomial(x: f64, a: f64, b: f64, c: f64, d: f64, e: f64, f: f64, g: f64, h: f64): f64 {
  return ((((((a * x + b) * x + c) * x + d) * x + e) * x + f) * x + g) * x + h
}

// Wichura's three rational functions: for the middle, the tails and the far tails.
// @ts-ignore: decorator
@inline
function middle(q: f64): f64 {
  const r = 0.180625 - q * q
  return (
    (q *
      polynomial(
        r,
        2509.0809287301227,
        33430.57558358813,
        67265.7709270087,
        45921.95393154987,
        13731.69376550946,
        1971.5909503065513,
        133.14166789178438,
        3.3871328727963665
      )) /
    polynomial(
      r,
      5226.495278852854,
      28729.085735721943,
      39307.89580009271,
      21213.794301586597,
      5394.196021424751,
      687.1870074920579,
      42.31333070160091,
      1
    )
  )
}

// @ts-ignore: decorator
@inline
function tail(r: f64): f64 {
  return (
    polynomial(
      r,
      0.0007745450142783414,
      0.022723844989269184,
      0.2417807251774506,
      1.2704582524523684,
      3.6478483247632045,
      5.769497221460691,
      4.630337846156546,
      1.4234371107496835
    ) /
    polynomial(
      r,
      1.0507500716444169e-9,
      0.0005475938084995345,
      0.015198666563616457,
      0.14810397642748008,
      0.6897673349851,
      1.6763848301838038,
      2.053191626637759,
      1
    )
  )
}

// @ts-ignore: decorator
@inline
function farTail(r: f64): f64 {
  return (
    polynomial(
      r,
      2.0103343992922881e-7,
      2.7115555687434876e-5,
      0.0012426609473880784,
      0.026532189526576124,
      0.29656057182850487,
      1.7848265399172913,
      5.463784911164114,
      6.657904643501103
    ) /
    polynomial(
      r,
      2.0442631033899397e-15,
      1.421511758316446e-7,
      1.8463183175100548e-5,
      0.0007868691311456133,
      0.014875361290850615,
      0.1369298809227358,
      0.599832206555888,
      1
    )
  )
}

function quantile(p: f64): f64 {
  const q = p - 0.5
  if (q >= -0.425 && q <= 0.425) return middle(q)
  const r = root(-log(q < 0 ? p : 1 - p))
  const x = r <= 5 ? tail(r - 1.6) : farTail(r - 5)
  return q < 0 ? -x : x
}

/**
 * The first numbers of a key: standard normal, rounded to float32, times a factor; or uniform in [-factor, factor).
 * Pieces of 4096.
 */
export function drawNumbers(args: DrawNumbers, piece: i32, scratch: usize): void {
  const key0 = args.key0
  const key1 = args.key1
  const uniform = args.uniform
  // Words are read as addresses, which are unsigned: the low one may have its highest bit set.
  const factor = reinterpret<f64>((<u64>args.factorLow) | ((<u64>args.factorHigh) << 32))
  const end = min(args.count, (piece + 1) * RANDOM_PIECE)
  for (let i = piece * RANDOM_PIECE; i < end; i++) {
    const words = encrypt(key0, key1, i, uniform ? UNIFORM : NORMAL)
    const high = <u32>(words >> 32)
    const low = <u32>words
    let value: f64
    if (uniform) {
      const u = (<f64>(high >> 5) * 67108864 + <f64>(low >> 6)) / 9007199254740992
      value = (2 * u - 1) * factor
    } else {
      const n = quantile((<f64>(high >> 6) * 67108864 + <f64>(low >> 6) + 0.5) / 4503599627370496)
      value = <f64>(<f32>n) * factor
    }
    store<f32>(args.out + ((<usize>i) << 2), <f32>value)
  }
}
