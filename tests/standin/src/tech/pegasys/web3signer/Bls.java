package tech.pegasys.web3signer;

import java.math.BigInteger;

/** Public keys of BLS12-381: multiples of the generator of G1, compressed. Slow, and not constant in time: for test keys only. */
final class Bls {
  private static final BigInteger P =
      hex("1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab");
  private static final BigInteger ORDER =
      hex("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001");
  private static final BigInteger[] GENERATOR = {
    hex("17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"),
    hex("08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1"),
  };

  private Bls() {}

  private static BigInteger hex(String digits) {
    return new BigInteger(digits, 16);
  }

  /** The public key of a secret key in hex, with 0x. */
  static String publicKey(String secret) {
    BigInteger scalar = hex(secret.startsWith("0x") ? secret.substring(2) : secret);
    if (scalar.signum() <= 0 || scalar.compareTo(ORDER) >= 0) {
      throw new IllegalArgumentException("a secret key is out of range");
    }
    BigInteger[] sum = null;
    for (int bit = scalar.bitLength() - 1; bit >= 0; bit--) {
      sum = sum == null ? null : add(sum, sum);
      if (scalar.testBit(bit)) {
        sum = sum == null ? GENERATOR : add(sum, GENERATOR);
      }
    }
    BigInteger half = P.shiftRight(1);
    BigInteger flags = BigInteger.valueOf(sum[1].compareTo(half) > 0 ? 0xa0 : 0x80).shiftLeft(376);
    return "0x" + String.format("%096x", sum[0].or(flags));
  }

  /** The sum of two points of which neither is the other's opposite: it never is below the order. */
  private static BigInteger[] add(BigInteger[] a, BigInteger[] b) {
    BigInteger slope =
        a[0].equals(b[0])
            ? a[0].multiply(a[0]).multiply(BigInteger.valueOf(3)).multiply(a[1].shiftLeft(1).modInverse(P))
            : b[1].subtract(a[1]).multiply(b[0].subtract(a[0]).mod(P).modInverse(P));
    BigInteger x = slope.multiply(slope).subtract(a[0]).subtract(b[0]).mod(P);
    return new BigInteger[] {x, slope.multiply(a[0].subtract(x)).subtract(a[1]).mod(P)};
  }
}
