package supranational.blst;

import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Loads the stand-in's library the way jblst does: out of the jar through a temporary file, unless the property
 * supranational.blst.jniResource names something that is not there; then from java.library.path.
 */
public final class StandinLibrary {
  private StandinLibrary() {}

  public static void load() throws Exception {
    String inside = "/supranational/blst/Linux/amd64/libblst.so";
    String resource = System.getProperty("supranational.blst.jniResource", inside);
    try (InputStream library = StandinLibrary.class.getResourceAsStream(resource)) {
      if (library == null) {
        System.loadLibrary("blst");
      } else {
        Path file = Files.createTempDirectory("blst@").resolve("libblst.so");
        Files.copy(library, file);
        System.load(file.toString());
      }
    }
    if (answer() != 42) {
      throw new IllegalStateException("the library gives a wrong answer");
    }
  }

  private static native int answer();
}
