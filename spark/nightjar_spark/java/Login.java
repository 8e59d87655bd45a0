package nightjar;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.MessageDigest;
import javax.security.sasl.AuthenticationException;
import org.apache.hive.service.auth.PasswdAuthenticationProvider;

/** Lets in who knows the login that the file nightjar.bi.login holds, as "user:password". */
public final class Login implements PasswdAuthenticationProvider {
  public void Authenticate(String user, String password) throws AuthenticationException {
    byte[] kept;
    try {
      kept = Files.readAllBytes(Paths.get(System.getProperty("nightjar.bi.login"), new String[0]));
    } catch (IOException error) {
      throw new AuthenticationException("the file of the login cannot be read", error);
    }
    byte[] given = (user + ":" + password).getBytes(StandardCharsets.UTF_8);
    if (!MessageDigest.isEqual(kept, given)) {
      throw new AuthenticationException("user or password is wrong");
    }
  }
}
