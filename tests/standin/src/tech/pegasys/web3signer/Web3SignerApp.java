package tech.pegasys.web3signer;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsParameters;
import com.sun.net.httpserver.HttpsServer;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.TrustManager;
import supranational.blst.StandinLibrary;

/** A STAND-IN for Web3Signer in this project's tests. It has Web3Signer's main class and options, and signs nothing. */
public final class Web3SignerApp {
  private Web3SignerApp() {}

  public static void main(String[] words) {
    try {
      serve(Options.of(words));
    } catch (Options.Wrong wrong) {
      System.err.println("Error parsing parameters: " + wrong.getMessage());
      System.exit(2);
    } catch (Exception | LinkageError e) {
      System.err.println("Failed to initialize Web3Signer\nCause: " + e);
      System.exit(1);
    }
  }

  private static void serve(Options options) throws Exception {
    System.out.println("STAND-IN for Web3Signer on Java " + System.getProperty("java.version") + ": it signs nothing");
    if (options.flag("eth2.slashing-protection-enabled", true)
        && options.text("eth2.slashing-protection-db-url") == null) {
      throw new Options.Wrong("Missing slashing protection database url");
    }
    if (options.text("tls-keystore-file") == null) {
      throw new Options.Wrong("this stand-in serves TLS only");
    }
    boolean anyone = options.flag("tls-allow-any-client", false);
    boolean authorities = options.flag("tls-allow-ca-clients", false);
    String list = options.text("tls-known-clients-file");
    if (!anyone && !authorities && list == null) {
      throw new Options.Wrong("TLS client authentication is not configured");
    }
    StandinLibrary.load();
    String folder = options.text("key-config-path", options.text("key-store-path", "./"));
    Set<String> keys = Keys.publicKeys(Path.of(folder));
    Clients clients = new Clients(list, authorities);
    InetSocketAddress address =
        new InetSocketAddress(
            options.text("http-listen-host", "127.0.0.1"),
            Integer.parseInt(options.text("http-listen-port", "9000")));
    HttpsServer server = HttpsServer.create(address, 64);
    server.setHttpsConfigurator(new Configurator(context(options, clients), !anyone));
    server.setExecutor(Executors.newFixedThreadPool(4));
    server.createContext("/", exchange -> answer(exchange, 404, "Not found"));
    server.createContext("/upcheck", exchange -> answer(exchange, 200, "OK"));
    String json = keys.stream().map(key -> '"' + key + '"').collect(Collectors.joining(",", "[", "]"));
    server.createContext("/api/v1/eth2/publicKeys", exchange -> answer(exchange, 200, json));
    server.createContext("/api/v1/eth2/sign/", exchange -> answer(exchange, 501, "a stand-in signs nothing"));
    server.start();
    System.out.println(
        "STAND-IN ready: " + keys.size() + " keys, " + clients.count() + " known clients, on " + address);
  }

  private static SSLContext context(Options options, Clients clients) throws Exception {
    char[] password =
        Files.readAllLines(Path.of(options.text("tls-keystore-password-file"))).get(0).toCharArray();
    KeyStore store = KeyStore.getInstance("PKCS12");
    try (InputStream file = Files.newInputStream(Path.of(options.text("tls-keystore-file")))) {
      store.load(file, password);
    }
    KeyManagerFactory factory = KeyManagerFactory.getInstance("PKIX");
    factory.init(store, password);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(factory.getKeyManagers(), new TrustManager[] {clients}, null);
    return context;
  }

  private static void answer(HttpExchange exchange, int status, String text) throws java.io.IOException {
    byte[] body = text.getBytes(StandardCharsets.UTF_8);
    boolean json = text.startsWith("[");
    exchange.getResponseHeaders().set("Content-Type", json ? "application/json" : "text/plain; charset=utf-8");
    exchange.sendResponseHeaders(status, body.length);
    try (exchange) {
      exchange.getResponseBody().write(body);
    }
  }

  private static final class Configurator extends HttpsConfigurator {
    private final boolean clientsShow;

    Configurator(SSLContext context, boolean clientsShow) {
      super(context);
      this.clientsShow = clientsShow;
    }

    @Override
    public void configure(HttpsParameters parameters) {
      SSLParameters wanted = getSSLContext().getDefaultSSLParameters();
      wanted.setNeedClientAuth(clientsShow);
      parameters.setSSLParameters(wanted);
    }
  }
}
