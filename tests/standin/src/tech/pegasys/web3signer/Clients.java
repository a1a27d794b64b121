package tech.pegasys.web3signer;

import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import javax.naming.ldap.LdapName;
import javax.naming.ldap.Rdn;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

/** Who may connect: clients of the list by common name and fingerprint, and, if asked for, those of the JVM's own CAs. */
final class Clients implements X509TrustManager {
  private final Map<String, String> known = new TreeMap<>();
  private final X509TrustManager authorities;

  Clients(String file, boolean allowAuthorities) throws Exception {
    if (file != null) {
      for (String line : Files.readAllLines(Path.of(file))) {
        if (line.isBlank() || line.startsWith("#")) {
          continue;
        }
        String[] parts = line.strip().split("\\s+");
        String fingerprint = parts.length == 2 ? parts[1].replace(":", "").toLowerCase() : "";
        if (!fingerprint.matches("[0-9a-f]{64}")) {
          throw new IllegalArgumentException("Invalid line in the known clients file");
        }
        known.put(parts[0], fingerprint);
      }
    }
    X509TrustManager found = null;
    if (allowAuthorities) {
      TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
      factory.init((KeyStore) null);
      found = (X509TrustManager) factory.getTrustManagers()[0];
    }
    authorities = found;
  }

  int count() {
    return known.size();
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String kind) throws CertificateException {
    String fingerprint = known.get(commonName(chain[0]));
    if (fingerprint != null && fingerprint.equals(hash(chain[0]))) {
      return;
    }
    if (authorities == null) {
      throw new CertificateException("not a known client");
    }
    authorities.checkClientTrusted(chain, kind);
  }

  private static String commonName(X509Certificate certificate) throws CertificateException {
    try {
      for (Rdn part : new LdapName(certificate.getSubjectX500Principal().getName()).getRdns()) {
        if (part.getType().equalsIgnoreCase("CN")) {
          return part.getValue().toString();
        }
      }
    } catch (Exception e) {
      throw new CertificateException(e);
    }
    return "";
  }

  private static String hash(X509Certificate certificate) throws CertificateException {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(certificate.getEncoded()));
    } catch (Exception e) {
      throw new CertificateException(e);
    }
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String kind) throws CertificateException {
    throw new CertificateException("this is a server: " + Arrays.toString(chain));
  }

  @Override
  public X509Certificate[] getAcceptedIssuers() {
    return new X509Certificate[0];
  }
}
