package judges;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.avro.file.DataFileReader;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;

/**
 * Reads container files and prints what it finds as JSON lines.
 *
 * <p>One line per file: {"file", "rows", "codec", "schema", "metadata"}, the schema being the header's text, the
 * metadata what begins with "valve.". With --records, a line per record comes before its file's: {"file", "row",
 * "record"}, rows from 0. The records are written as read_fastavro.py writes them, so that the two can be compared.
 * A file that can't be read ends the program with an error.
 */
public final class ReadFiles {
  private static final ObjectMapper JSON = new ObjectMapper();

  private ReadFiles() {}

  public static void main(String[] arguments) throws IOException {
    List<String> files = new ArrayList<>(List.of(arguments));
    boolean withRecords = files.remove("--records");
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    for (String file : files) {
      judge(file, withRecords, out);
    }
    out.flush();
  }

  private static void judge(String file, boolean withRecords, PrintStream out) throws IOException {
    // A GenericData without conversions: values stay those of the base types.
    GenericDatumReader<Object> datums = new GenericDatumReader<>(null, null, new GenericData());
    try (DataFileReader<Object> reader = new DataFileReader<>(new File(file), datums)) {
      long rows = 0;
      for (Object datum : reader) {
        if (withRecords) {
          ObjectNode line = JsonNodeFactory.instance.objectNode();
          line.put("file", file).put("row", rows).set("record", PlainJson.of(datum));
          out.println(JSON.writeValueAsString(line));
        }
        rows++;
      }
      out.println(JSON.writeValueAsString(summary(file, rows, reader)));
    }
  }

  private static ObjectNode summary(String file, long rows, DataFileReader<Object> reader) {
    String codec = reader.getMetaString("avro.codec");
    ObjectNode line = JsonNodeFactory.instance.objectNode();
    line.put("file", file).put("rows", rows).put("codec", codec == null ? "null" : codec);
    line.put("schema", reader.getMetaString("avro.schema"));
    ObjectNode metadata = line.putObject("metadata");
    for (String name : reader.getMetaKeys()) {
      if (name.startsWith("valve.")) {
        metadata.put(name, reader.getMetaString(name));
      }
    }
    return line;
  }
}
