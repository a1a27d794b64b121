package tech.pegasys.web3signer;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Public keys of the raw keys in a folder of YAML files, one or more documents in each. */
final class Keys {
  private static final Pattern SECRET =
      Pattern.compile("^\\s*\"?privateKey\"?:\\s*\"?'?(0x[0-9a-fA-F]{64})", Pattern.MULTILINE);

  private Keys() {}

  static Set<String> publicKeys(Path folder) throws Exception {
    Set<String> keys = new TreeSet<>();
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.filter(f -> f.toString().matches(".*\\.ya?ml")).sorted().toList()) {
        Matcher secrets = SECRET.matcher(Files.readString(file));
        while (secrets.find()) {
          keys.add(Bls.publicKey(secrets.group(1)));
        }
      }
    }
    return keys;
  }
}
