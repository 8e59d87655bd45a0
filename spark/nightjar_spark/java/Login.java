package nightjar;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.MessageDigest;
import javax.security.sasl.AuthenticationException;
import org.apache.hive.service.auth.PasswdAuthenticationProvider;

/** Authenticates clients by the login "user:password" in the file that nightjar.bi.login names. */
public final class Login implements PasswdAuthenticationProvider {
  public void Authenticate(String user, String password) throws AuthenticationException {
    byte[] expected;
    try {
      expected = Files.readAllBytes(Paths.get(System.getProperty("nightjar.bi.login"), new String[0]));
    } catch (IOException error) {
      throw new AuthenticationException("the login file cannot be read", error);
    }
    byte[] given = (user + ":" + password).getBytes(StandardCharsets.UTF_8);
    if (!MessageDigest.isEqual(expected, given)) {
      throw new AuthenticationException("user or password is wrong");
    }
  }
}
