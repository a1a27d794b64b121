package tech.pegasys.web3signer;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * The options: command line before YAML file. Names are checked, so that a file which upstream would refuse is refused here.
 * Of YAML it reads what a configuration needs: one level of keys, plain or quoted values, block and flow lists.
 */
final class Options {
  /** What upstream says and ends with 2. */
  static final class Wrong extends Exception {
    private static final long serialVersionUID = 1;

    Wrong(String text) {
      super(text);
    }
  }

  private static final Set<String> GLOBAL =
      Set.of(
          "data-path", "key-config-path", "key-store-path", "key-store-config-file-max-size", "logging",
          "http-listen-host", "http-listen-port", "http-host-allowlist", "http-cors-origins",
          "idle-connection-timeout-seconds", "vertx-worker-pool-size", "access-logs-enabled", "metrics-enabled",
          "metrics-host", "metrics-port", "metrics-host-allowlist", "metrics-category", "metrics-categories",
          "tls-keystore-file", "tls-keystore-password-file", "tls-known-clients-file", "tls-allow-ca-clients",
          "tls-allow-any-client", "swagger-ui-enabled");
  private static final Set<String> ETH2 =
      Set.of(
          "network", "keystores-path", "keystores-passwords-path", "keystores-password-file",
          "key-manager-api-enabled", "enable-key-manager-api", "slashing-protection-enabled",
          "slashing-protection-db-url", "slashing-protection-db-username", "slashing-protection-db-password",
          "slashing-protection-db-pool-configuration-file",
          "slashing-protection-pruning-db-pool-configuration-file", "slashing-protection-pruning-enabled",
          "slashing-protection-pruning-epochs-to-keep", "slashing-protection-pruning-slots-per-epoch",
          "slashing-protection-pruning-interval", "slashing-protection-pruning-at-boot-enabled",
          "slashing-protection-db-health-check-timeout-milliseconds",
          "slashing-protection-db-health-check-interval-milliseconds", "commit-boost-api-enabled");

  private final Map<String, String> values = new TreeMap<>();

  private Options() {}

  /** Reads the words of the command line: global options, `eth2`, its options. */
  static Options of(String[] words) throws Wrong {
    Options options = new Options();
    String prefix = "";
    for (int at = 0; at < words.length; at++) {
      String word = words[at];
      if (word.equals("eth2") && prefix.isEmpty()) {
        prefix = "eth2.";
        continue;
      }
      if (!word.startsWith("--")) {
        throw new Wrong("Unmatched argument: '" + word + "'");
      }
      int equals = word.indexOf('=');
      String name = prefix + (equals < 0 ? word.substring(2) : word.substring(2, equals));
      if (equals < 0 && at + 1 == words.length) {
        throw new Wrong("Missing required parameter for option '" + word + "'");
      }
      String value = equals < 0 ? words[++at] : word.substring(equals + 1);
      if (!name.equals("config-file")) {
        check(name);
      }
      options.values.put(name, value);
    }
    if (prefix.isEmpty()) {
      throw new Wrong("Missing required subcommand");
    }
    String file = options.values.remove("config-file");
    if (file != null) {
      options.readFile(Path.of(file));
    }
    return options;
  }

  private static void check(String name) throws Wrong {
    boolean known = name.startsWith("eth2.") ? ETH2.contains(name.substring(5)) : GLOBAL.contains(name);
    if (!known) {
      throw new Wrong("Unknown option in yaml configuration file or command line: " + name);
    }
  }

  private void readFile(Path file) throws Wrong {
    List<String> lines;
    try {
      lines = Files.readAllLines(file);
    } catch (Exception e) {
      throw new Wrong("Unable to read yaml configuration file: " + file);
    }
    Map<String, List<String>> found = new TreeMap<>();
    String key = null;
    for (String raw : lines) {
      String line = raw.strip();
      if (line.isEmpty() || line.startsWith("#") || line.equals("---") || line.equals("{") || line.equals("}")) {
        continue;
      }
      if (line.endsWith(",")) {
        line = line.substring(0, line.length() - 1);
      }
      if (line.startsWith("- ") && key != null) {
        found.get(key).add(plain(line.substring(2)));
        continue;
      }
      int colon = line.startsWith("\"") ? line.indexOf("\":") + 1 : line.indexOf(':');
      if (colon <= 0) {
        throw new Wrong("Unable to read yaml configuration. Invalid yaml file [" + file + "]");
      }
      key = plain(line.substring(0, colon));
      check(key);
      if (found.put(key, new ArrayList<>()) != null) {
        throw new Wrong("Duplicate key in yaml configuration: " + key);
      }
      String value = line.substring(colon + 1).strip();
      if (value.startsWith("[") && value.endsWith("]")) {
        for (String item : value.substring(1, value.length() - 1).split(",")) {
          found.get(key).add(plain(item));
        }
      } else if (!value.isEmpty()) {
        found.get(key).add(plain(value));
      }
    }
    if (found.isEmpty()) {
      throw new Wrong("Empty yaml configuration file: " + file);
    }
    found.forEach((name, list) -> values.putIfAbsent(name, String.join(",", list)));
  }

  private static String plain(String text) {
    String value = text.strip();
    boolean quoted =
        value.length() > 1
            && (value.startsWith("\"") && value.endsWith("\"") || value.startsWith("'") && value.endsWith("'"));
    return quoted ? value.substring(1, value.length() - 1) : value;
  }

  String text(String name) {
    return values.get(name);
  }

  String text(String name, String otherwise) {
    return values.getOrDefault(name, otherwise);
  }

  boolean flag(String name, boolean otherwise) {
    String value = values.get(name);
    return value == null ? otherwise : value.equalsIgnoreCase("true");
  }
}
