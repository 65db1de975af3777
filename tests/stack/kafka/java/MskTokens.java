import java.nio.charset.StandardCharsets;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallback;

/**
 * Takes tokens as Amazon MSK does, as far as one can without AWS: a presigned URL of `kafka-cluster:Connect`, in base64url,
 * of the access key that the listener's JAAS entry names. It doesn't look at the signature. A token is taken for no longer than
 * the entry's `lifetimeSeconds`, so that clients must come with a fresh one.
 */
public final class MskTokens implements AuthenticateCallbackHandler {
    private static final DateTimeFormatter DATE = DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'");

    private String accessKey;
    private long lifetimeMs;

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> entries) {
        Map<String, ?> options = entries.get(0).getOptions();
        accessKey = (String) options.get("accessKey");
        lifetimeMs = 1000 * Long.parseLong((String) options.get("lifetimeSeconds"));
    }

    @Override
    public void handle(Callback[] callbacks) throws UnsupportedCallbackException {
        for (Callback callback : callbacks) {
            if (!(callback instanceof OAuthBearerValidatorCallback)) {
                throw new UnsupportedCallbackException(callback);
            }
            validate((OAuthBearerValidatorCallback) callback);
        }
    }

    private void validate(OAuthBearerValidatorCallback callback) {
        try {
            String url = new String(Base64.getUrlDecoder().decode(callback.tokenValue()), StandardCharsets.UTF_8);
            Map<String, String> parameters = parameters(url);
            long signed = LocalDateTime.parse(parameters.get("X-Amz-Date"), DATE).toInstant(ZoneOffset.UTC).toEpochMilli();
            long expires = signed + 1000 * Long.parseLong(parameters.get("X-Amz-Expires"));
            boolean right = url.startsWith("https://kafka.us-east-1.amazonaws.com/?")
                && "kafka-cluster%3AConnect".equals(parameters.get("Action"))
                && parameters.get("X-Amz-Credential").startsWith(accessKey + "%2F")
                && parameters.get("X-Amz-Signature").matches("[0-9a-f]{64}")
                && parameters.containsKey("User-Agent")
                && Math.min(expires, signed + lifetimeMs) > System.currentTimeMillis();
            if (!right) {
                callback.error("access_denied", null, null);
                return;
            }
            callback.token(new Token(callback.tokenValue(), signed, signed + lifetimeMs));
        } catch (RuntimeException malformed) {
            callback.error("invalid_token", null, null);
        }
    }

    private static Map<String, String> parameters(String url) {
        Map<String, String> parameters = new HashMap<>();
        for (String pair : url.substring(url.indexOf('?') + 1).split("&")) {
            int equals = pair.indexOf('=');
            parameters.put(pair.substring(0, equals), pair.substring(equals + 1));
        }
        return parameters;
    }

    @Override
    public void close() {
    }

    private record Token(String value, Long startTimeMs, long lifetimeMs) implements OAuthBearerToken {
        @Override
        public Set<String> scope() {
            return Set.of();
        }

        @Override
        public String principalName() {
            return "msk";
        }
    }
}
